"""The Redis server: connections to it, every key, requests as values, and what an outage is."""
