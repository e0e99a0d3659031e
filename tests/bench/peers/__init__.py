"""What the gateway is measured beside: each a server on a core of its own that does the same work."""
