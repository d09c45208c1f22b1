"""The pages of the jobs dashboard: overview, queues, workers, errors, realtime, and what is done on them."""
