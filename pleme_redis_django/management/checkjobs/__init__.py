"""checkjobs: what of the waiting jobs and the schedules this code cannot run, found before it is deployed."""
