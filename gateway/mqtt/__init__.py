"""Ingest: the session with the broker, and the broker we bring along when none is named."""
