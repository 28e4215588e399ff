"""Messages that people read in an app."""
