"""Code shared by the server and its clients."""
