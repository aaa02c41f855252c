"""One self-contained HTML page about an evaluation: the numbers, the curves, the mistakes, and what was read."""
