"""Questions and changes of the operator's commands."""
