"""Tasks on a queue: users and slices, each crawled by a process of its own."""
