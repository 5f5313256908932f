"""Datasets: where they come from, what they look like, how they are divided."""
