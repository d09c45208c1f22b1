"""The shop: its catalog, its orders, and the jobs that it runs in the background."""
