"""What goes over a link."""
