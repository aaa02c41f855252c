"""What a detector says of each image: its loss, its errors, and how likely the annotations are wrong."""
