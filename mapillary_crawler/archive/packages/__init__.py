"""A collection that is cut, on a folder that several machines share: as packages, whole or not."""
