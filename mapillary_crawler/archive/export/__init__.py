"""A collection's images as a table, for those who ask questions of it."""
