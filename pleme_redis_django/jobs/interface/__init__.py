"""What the engine asks of others, and the values that it hands around."""
