"""`index.html`: a collection as one page for people, which asks nobody for anything."""
