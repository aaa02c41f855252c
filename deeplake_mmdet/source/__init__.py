"""Opening Deep Lake data: where it is, which revision, which columns, and reading it from any process."""
