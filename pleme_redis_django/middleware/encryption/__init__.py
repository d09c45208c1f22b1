"""Encrypted parameters: rows that hold ciphertext, a ring of keys, and reading what was encrypted."""
