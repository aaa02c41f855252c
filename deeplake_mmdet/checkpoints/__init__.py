"""Reading checkpoint files without running code that is in them."""
