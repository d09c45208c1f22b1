"""Codecs: one for each annotation, which turns its values into plain JSON and back, and refuses all others."""
