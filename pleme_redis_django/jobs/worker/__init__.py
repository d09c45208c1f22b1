"""The worker process: the threads that claim, run and end jobs and renew the lease."""
