"""The Redis server: its connections, every key, requests as values, and what counts as an outage."""
