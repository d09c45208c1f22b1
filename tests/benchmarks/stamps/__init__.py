"""Time stamps of an enqueue and a claim, for the benchmark that cuts the latency into steps.

As an app of a worker process it has the claims stamped from outside; the package itself knows nothing of it.
"""
