"""Whether a collection is what it was: every file and every member, named where it is not."""
