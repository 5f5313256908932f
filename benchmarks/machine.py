"""What a figure was measured on: processor, cores, and how fast it multiplies matrices."""

import platform
from pathlib import Path

from pipeline.planning.speed import matmul_gflops
from pipeline.processes import num_cores


def processor() -> str:
    """Returns the processor's name as the system gives it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def machine() -> str:
    """Returns one line that says what a run was measured on."""
    return f"{processor()}, {num_cores()} cores, matmul {matmul_gflops():.0f} GFLOP/s"
