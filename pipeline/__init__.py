"""Hyperparameter search for transfer-learned image classifiers: DVC runs it, MLflow records it."""
