"""The roof of the engine: builds, starts and stops everything that a pool consists of."""
