"""SQLite: the only SQL of the project, one noun a file.

The ledger is the only source of truth for "do we have it?", "where does the
listing go on?" and "what failed, and why?".
"""
