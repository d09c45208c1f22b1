"""A project of jobs alone: no Redis, no socket, no admin. Its job tells what its process has imported."""
