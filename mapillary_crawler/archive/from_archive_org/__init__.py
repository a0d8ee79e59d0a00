"""A collection begun from its item on archive.org alone: manifests are fetched, no tars."""
