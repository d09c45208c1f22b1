"""An installed app of the suite: the jobs that its tests and benchmarks run."""
