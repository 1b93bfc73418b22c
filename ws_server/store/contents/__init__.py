"""Files: their rows, their contents, and the space they take."""
