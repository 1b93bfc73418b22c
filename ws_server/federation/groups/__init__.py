"""Groups that another realm hosts."""
