"""The runs in MLflow, which say what the study says."""
