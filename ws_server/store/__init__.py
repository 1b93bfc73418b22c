"""Everything durable: the database, its one writer (the journal) and the files' contents."""
