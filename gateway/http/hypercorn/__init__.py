"""What works around the HTTP server: replaced with it, if it is replaced."""
