"""The databases that a realm may run on: SQLite and PostgreSQL."""
