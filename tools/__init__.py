"""What is run once in a while by hand, and is in no distribution."""
