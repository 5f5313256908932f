"""Imports TensorFlow, which takes seconds, once for all workers: they are forks of this process.

Nothing is computed here. TensorFlow starts its threads when it is first used, and a process that
has them cannot be forked.
"""

import contextlib

from pipeline.errors import ConfigError
from pipeline.training.devices import fix_settings

# Each worker meets the error again, and can tell the driver.
with contextlib.suppress(ConfigError):
    fix_settings()
