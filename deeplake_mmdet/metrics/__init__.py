"""Metrics whose ground truth is the dataset itself."""
