"""One run: listing, feeding, fresh URLs, gone or not, and the transfers."""
