"""The generic job engine: knows neither Django nor Redis, and is given both by ``wiring``."""
