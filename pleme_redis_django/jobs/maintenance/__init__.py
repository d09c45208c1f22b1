"""Maintenance: the duties that keep jobs from getting stuck, a file each, and the maintainer that runs them."""
