"""Fairness: claims that share a pool's capacity between products, and the index that they read."""
