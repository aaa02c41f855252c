"""Versions of a dataset: queries saved as views, history, differences, edits on a branch."""
