"""The context of a request, carried to the attempts of the jobs that it enqueues: its id, its user, its language."""
