"""Time stamps of an enqueue and a claim, and the times of threads: for the benchmarks that say where the time goes.

As an app of a worker process it has claims stamped from outside; the package itself knows nothing of it.
"""
