"""The worker pool: builds, starts and stops all parts of the engine in one process."""
