"""What is measured within a process of its own; results as JSON can hold them."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.benchmark import device, gpu_parts, loops, streaming_suite, timing, waiting, workloads
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.run.devices import precision

_SWEPT_STEPS = 2


def first_micro_batch(*, penalty: str, jit_compile: str, **work: Any) -> dict[str, float]:
    """`finished_at`, the time at which the first micro-batch was finished on the device."""
    finished: list[float] = []

    def listen(done: int, rounds: int) -> None:
        del done, rounds
        tf.test.experimental.sync_devices()
        finished.append(time.time())

    workload = Workload(**work)
    with precision(workload.dtype_policy):
        net = workloads.network(workload)
        model = loops.published_model(net, penalty, workload.micro_batch_size, jit_compile)
        model.chunk_listeners.append(listen)
        data = workloads.random_data(workload)
        batches = UpdateBatches(*data, chunk_micro_batches=1)
        model.fit(batches, epochs=1, verbose=0)
    return {"finished_at": finished[0]}


def memory(*, samples: int, micro_batch_size: int) -> dict[str, Any]:
    """`samples`; `data_bytes` of images, labels and sample ids; `host` and `device` peaks in bytes."""
    work = Workload(model="resnet_tiny", samples=samples, micro_batch_size=micro_batch_size)
    model = loops.published_model(workloads.network(work), "none", micro_batch_size, "auto")
    batches = UpdateBatches(*workloads.random_data(work))
    model.fit(batches, epochs=_SWEPT_STEPS, verbose=0)
    return {"samples": samples, "data_bytes": batches.nbytes, **device.peaks()._asdict()}


def passes(*, seconds: float, **work: Any) -> dict[str, Any]:
    """`seconds` per pass of this package's `fit`, timed once, the network's trainable `parameters`, and `host` and
    `device` peaks in bytes."""
    workload = Workload(**work)
    with precision(workload.dtype_policy):
        net = workloads.network(workload)
        run = loops.full_batch_fit(net, workload, workloads.random_data(workload))
        (timed,) = timing.measure({"fit": run}, 1, _say, seconds)["fit"]
    sizes = [np.prod(v.shape) for v in net.trainable_variables]
    return {"seconds": timed.seconds, "parameters": int(sum(sizes)), **device.peaks()._asdict()}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "first_micro_batch": first_micro_batch,
    "memory": memory,
    "passes": passes,
    "streamed_memory": streaming_suite.streamed_memory,
    "waiting": waiting.waiting,
    **gpu_parts.KINDS,
}
"""Name -> measurement, for `fresh_process.call`."""
