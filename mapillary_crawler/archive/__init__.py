"""What becomes of a collection: finished, verified, adopted, uploaded, shown."""
