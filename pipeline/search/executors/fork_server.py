"""Runs in the process that workers are forks of, and only there: importing it begins that role.

`multiprocessing` imports it in its fork server before the first fork. A worker's parent is that
server, so the server ends with the driver, however that ends, and every worker with the server.
"""

import os
import signal
from typing import Final

from pipeline.processes import die_with_parent

PID: Final = os.getpid()

die_with_parent(signal.SIGKILL)
# Ctrl-C reaches the whole process group, also while libraries are imported here.
signal.signal(signal.SIGINT, signal.SIG_IGN)
