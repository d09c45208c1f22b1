"""One process of workers: the threads that claim, run and end jobs, and prove that they live."""
