"""`DeepLakeDataset` and the file backend through which MMDetection's own transforms, hooks and tools read images."""
