"""The pictures of a report, one idea a module; each gives figures of Matplotlib's object interface."""
