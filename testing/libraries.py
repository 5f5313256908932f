"""Libraries, none of our code, that a process of `testing.forks` has when it is forked."""

import gc

import alembic.command  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import optuna.storages._rdb.storage  # noqa: F401
import ruamel.yaml  # noqa: F401

# Forks look through all of it, and copy its pages, whenever they look for garbage.
gc.collect()
gc.freeze()
