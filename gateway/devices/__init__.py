"""What is known of devices: their state, their presence, and the file that keeps it."""
