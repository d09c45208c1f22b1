"""What keeps jobs from being stuck: a file for each duty, and the maintainer that turns them."""
