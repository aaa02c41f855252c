"""Annotations as columns: read once in bulk, kept as flat arrays, never as a list of dicts."""
