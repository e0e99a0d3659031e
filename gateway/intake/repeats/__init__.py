"""Whether a message was seen before, and says something new."""
