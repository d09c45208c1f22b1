"""Nothing: its suite imports the name."""
