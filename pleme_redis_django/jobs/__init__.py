"""The job engine. It knows neither Django nor Redis; ``wiring`` connects it to both."""
