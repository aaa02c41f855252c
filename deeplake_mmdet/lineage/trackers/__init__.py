"""Experiment trackers: MMEngine's own backends, kept from slowing a run down, and what they are told of its data."""
