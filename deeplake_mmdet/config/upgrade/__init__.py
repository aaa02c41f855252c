"""From the form of MMDetection 2 configs to that of MMDetection 3, in place, with a line for each translation."""
