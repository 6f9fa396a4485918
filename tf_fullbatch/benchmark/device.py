"""The machine: its name, its threads, and the peak memory of this process and of its accelerator."""

import resource
import sys
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch import processor
from tf_fullbatch.run.devices import gpu_name

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peaks(NamedTuple):
    """Largest use of memory, in bytes.

    Attributes:
        host: Resident set of this process, TensorFlow's code and all else included.
        device: Allocated on the GPU; None without one.
    """

    host: int
    device: int | None


def reset_peaks() -> None:
    """Starts a new peak from the present use of memory, where the platform can."""
    if _gpu() is not None:
        tf.config.experimental.reset_memory_stats(_gpu())
    try:
        _CLEAR.write_text("5")  # Linux: 5 resets the peak resident set
    except OSError:
        return


def peaks() -> Peaks:
    """Peak bytes since `reset_peaks` (since the process began, where peaks cannot be reset).

    Where there are several GPUs, the first one's memory is measured.
    """
    device = None if _gpu() is None else tf.config.experimental.get_memory_info(_gpu())["peak"]
    return Peaks(_host_peak(), device)


def description() -> dict[str, Any]:
    """Device in words, cores of this process, TensorFlow's threads (0: one a core), bfloat16 instructions."""
    name, bfloat16 = gpu_name(), None
    if name is None:
        name = processor.name()
        instructions = (processor.info("flags") or processor.info("Features") or "").split()
        bfloat16 = bool({"avx512_bf16", "amx_bf16", "bf16"} & set(instructions))
    return {
        "device": name,
        "bfloat16_instructions": bfloat16,
        "cores": processor.cores(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
    }


def _gpu() -> str | None:
    return "GPU:0" if tf.config.list_physical_devices("GPU") else None


def _host_peak() -> int:
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
