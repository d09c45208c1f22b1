"""The pages of the jobs dashboard (overview, queues, workers, errors, realtime) and their actions."""
