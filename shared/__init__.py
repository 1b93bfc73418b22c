"""What the server and its clients have in common."""
