"""SQLite: the only SQL of the project, one noun a file."""
