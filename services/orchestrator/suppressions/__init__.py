"""Contact points to which nothing is sent any more."""
