"""What the command ``runworkers`` is made of: a supervisor, its worker processes, and their output."""
