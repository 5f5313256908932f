"""What remembers: Optuna's store, MLflow's runs, the model registry."""
