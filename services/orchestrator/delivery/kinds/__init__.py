"""One kind of channel per file."""
