"""What is asked for, what it is called, where it lies, and how it ended; no SQL, no network."""
