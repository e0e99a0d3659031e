"""What the log holds of a device, for people and programs that ask."""
