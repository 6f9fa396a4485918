"""Measurements that need a process of their own: time to the first micro-batch, peak memory by data size.

`python -m tf_fullbatch.benchmark.fresh_process KIND JSON` is such a process; it prints one line of JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.errors import RunError

SWEPT_MODEL = "resnet_tiny"
_SWEPT_IMAGE_SIZE = 32
_SWEPT_STEPS = 2


def seconds_to_first_micro_batch(
    options: Options, penalty: str, dtype_policy: str, jit_compile: str
) -> float:
    """Seconds from starting a process to its first finished micro-batch: imports, building, tracing, one pass."""
    arguments = {
        "model": options.model,
        "image_size": options.image_size,
        "num_classes": options.num_classes,
        "micro_batch_size": options.micro_batch_size,
        "penalty": penalty,
        "dtype_policy": dtype_policy,
        "jit_compile": jit_compile,
    }
    started = time.time()
    return _run("first_micro_batch", arguments)["finished_at"] - started


def memory_of_steps(samples: int, micro_batch_size: int) -> dict[str, Any]:
    """Peak memory of a process that makes full-batch steps of a tiny network.

    Returns:
        `samples`; `data_bytes` of images, labels and sample ids; `host` and `device` peaks in bytes.
    """
    return _run("memory", {"samples": samples, "micro_batch_size": micro_batch_size})


def _run(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tf_fullbatch.benchmark.fresh_process", kind, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"the process for {kind} with {json.dumps(arguments)} failed: {reason}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _first_micro_batch(
    *,
    model: str,
    image_size: int,
    num_classes: int,
    micro_batch_size: int,
    penalty: str,
    dtype_policy: str,
    jit_compile: str,
) -> dict[str, Any]:
    import tensorflow as tf

    from tf_fullbatch.benchmark import timed_passes
    from tf_fullbatch.data.batches import UpdateBatches
    from tf_fullbatch.run.devices import precision

    finished: list[float] = []

    def listen(done: int, rounds: int) -> None:
        del done, rounds
        tf.test.experimental.sync_devices()
        finished.append(time.time())

    with precision(dtype_policy):
        net = timed_passes.network(model, image_size, num_classes)
        trained = timed_passes.full_batch_model(net, penalty, micro_batch_size, jit_compile)
        trained.chunk_listeners.append(listen)
        data = timed_passes.random_data(micro_batch_size, image_size, num_classes)
        batches = UpdateBatches(*data, micro_batch_size=micro_batch_size, chunk_micro_batches=1)
        trained.fit(batches, epochs=1, verbose=0)
    return {"finished_at": finished[0]}


def _memory(*, samples: int, micro_batch_size: int) -> dict[str, Any]:
    from tf_fullbatch.benchmark import device, timed_passes
    from tf_fullbatch.data.batches import UpdateBatches

    net = timed_passes.network(SWEPT_MODEL, _SWEPT_IMAGE_SIZE, num_classes=10)
    model = timed_passes.full_batch_model(net, "none", micro_batch_size, "auto")
    data = timed_passes.random_data(samples, _SWEPT_IMAGE_SIZE, num_classes=10)
    batches = UpdateBatches(*data, micro_batch_size=micro_batch_size)
    model.fit(batches, epochs=_SWEPT_STEPS, verbose=0)
    arrays = (batches.inputs, batches.targets, batches.sample_ids)
    return {"samples": samples, "data_bytes": sum(a.nbytes for a in arrays), **device.peaks()._asdict()}


_KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "first_micro_batch": _first_micro_batch,
    "memory": _memory,
}


def main(argv: Sequence[str]) -> None:
    """Runs one measurement and prints its result."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(json.dumps(_KINDS[argv[1]](**json.loads(argv[2]))))


if __name__ == "__main__":
    main(sys.argv)
