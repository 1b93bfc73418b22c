"""Contents of files between realms."""
