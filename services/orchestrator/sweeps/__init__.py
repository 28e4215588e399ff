"""Making many participants due, a block at a time and at a rate."""
