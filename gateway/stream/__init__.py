"""Streams: a position in the log, turned into what a reader gets."""
