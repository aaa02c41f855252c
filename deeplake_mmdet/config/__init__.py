"""The only readers of config dicts: everything behind this package takes explicit arguments."""
