"""A project of nothing but this app and one job: what a worker process costs without a project's own code."""
