"""Results of a detector, written back into a branch of the dataset that they are of."""
