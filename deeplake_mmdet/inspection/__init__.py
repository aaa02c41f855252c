"""Looking at a dataset: rows as pictures, distributions as tables and figures."""
