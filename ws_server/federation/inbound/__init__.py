"""What comes over a link."""
