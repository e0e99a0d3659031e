"""Whether a message says something new."""
