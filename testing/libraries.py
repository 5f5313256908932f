"""What a process of `testing.forks` has imported before it is forked: libraries, none of our code.

TensorFlow is not among them, since its threads do not survive a fork.
"""

import alembic.command  # noqa: F401
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
import optuna.storages._rdb.storage  # noqa: F401
import ruamel.yaml  # noqa: F401
