"""From a run, or what it left behind, back to the exact data, config and code that it was made with."""
