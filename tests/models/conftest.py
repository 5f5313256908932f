"""Hyperparameters of a head, and small models with known graphs."""
