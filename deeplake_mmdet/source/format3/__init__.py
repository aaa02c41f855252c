"""Datasets of format 3, which Deep Lake 3 wrote: Deep Lake 4 reads their rows, and this package their history."""
