"""Ordinary files of a collection's images, read where they lie and proven on the way."""
