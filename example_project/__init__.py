"""novaskyn, a small shop for prints of the world's airports: a real product on every feature."""
