"""The update of a finished collection, which stays whole and in its place all the while."""
