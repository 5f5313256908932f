"""What is trained: bases, cut points, heads and the exported model."""
