"""The annotation index in a file: made by one process of a node, mapped by all, believed only if it is whole."""
