"""MLflow: the one package that imports it. Records runs, registers models, proves both true."""
