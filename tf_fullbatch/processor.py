"""The processor: its name, and the cores this process may use."""

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def name() -> str:
    """Its model, such as "AMD EPYC 7B13"; as much as the system tells."""
    return info("model name") or platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def info(key: str) -> str | None:
    """The first value of a key in Linux' description of the processor."""
    lines = _CPU_INFO.read_text().splitlines() if _CPU_INFO.exists() else []
    values = [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]
    return values[0] if values else None
