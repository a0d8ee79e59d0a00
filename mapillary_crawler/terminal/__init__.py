"""What people and monitors are told: words, tables, `progress.json`; it decides nothing."""
