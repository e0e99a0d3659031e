"""The log's entries in SQLite segments."""
