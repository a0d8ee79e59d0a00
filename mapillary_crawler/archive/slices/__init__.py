"""A collection that is cut: its slices made of it, looked at, and merged into it again."""
