"""What a collection has lost is found, said, and brought back as far as what is here allows."""
