"""What checkjobs finds."""
