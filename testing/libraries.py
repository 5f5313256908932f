"""Libraries, none of our code, that a process of `testing.forks` has when it is forked."""

import alembic.command  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import optuna.storages._rdb.storage  # noqa: F401
import ruamel.yaml  # noqa: F401
