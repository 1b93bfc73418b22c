"""Durable storage: the database, its only writer (the journal), and the contents of files."""
