"""What --suite=gpu measures in processes of their own; results as JSON can hold them."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.benchmark import device, loops, step_suite, timing, workloads
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.models.gradient_flops import gradient_flops
from tf_fullbatch.records.summary import versions
from tf_fullbatch.run.devices import precision

Interval = tuple[int, int]

_RATE = 0.1
_PROBES = 4
_PRODUCTS = 10
_ROOT = Path(__file__).parents[2]
_CARD_FIELDS = "name,driver_version,memory.total,power.limit,clocks.max.sm"


def environment() -> dict[str, Any]:
    """Device, versions, CUDA as TensorFlow was built with it, and what the driver says of the card."""
    build = tf.sysconfig.get_build_info()
    try:
        query = ["nvidia-smi", f"--query-gpu={_CARD_FIELDS}", "--format=csv,noheader"]
        card = subprocess.run(query, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        card = ""
    return {
        "machine": device.description(),
        "versions": versions(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        _CARD_FIELDS: card,
    }


def trajectories(*, cases: Sequence[Sequence[str]], steps: int) -> dict[str, Any]:
    """`cases`: full-batch steps of a smooth residual network for each (precision, XLA, penalty), see `_trajectory`.

    A case that fails has `error` in place of a trajectory.
    """
    found: list[dict[str, Any]] = []
    for policy, jit, penalty in cases:
        found.append({"dtype_policy": policy, "jit_compile": jit, "penalty": penalty})
        try:
            found[-1] |= _trajectory(policy, penalty, jit, steps, tf.distribute.get_strategy())
        except Exception as error:  # whatever it is, it is what is wrong with this case
            found[-1]["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return {"cases": found}


def replicas(*, policies: Sequence[str], steps: int, memory_mib: int) -> dict[str, Any]:
    """The same steps on one and on two logical devices of this machine's first device.

    Returns:
        `kind` of the devices; `cases`: for each precision `one` and `two`, see `_trajectory`.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    limit = {"memory_limit": memory_mib} if kind == "GPU" else {}
    halves = [tf.config.LogicalDeviceConfiguration(**limit)] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices(kind)[0], halves)
    two = tf.distribute.MirroredStrategy([f"{kind}:0", f"{kind}:1"])
    cases = [
        {
            "dtype_policy": policy,
            "one": _trajectory(policy, "nested_tape", "off", steps, tf.distribute.get_strategy()),
            "two": _trajectory(policy, "nested_tape", "off", steps, two),
        }
        for policy in policies
    ]
    return {"kind": kind, "cases": cases}


def _trajectory(
    policy: str, penalty: str, jit: str, steps: int, strategy: tf.distribute.Strategy
) -> dict[str, list[float]]:
    """`losses` of the steps, and `probes`: products of the final weights with fixed random directions."""
    work = Workload(model="resnet_tiny", image_size=8, samples=100, micro_batch_size=16)
    with precision(policy):
        with strategy.scope():
            # Smooth: at a kink, rounding decides which of two gradients is taken.
            net = workloads.network(work, activation="softplus")
            model = loops.published_model(net, penalty, work.micro_batch_size, jit, _RATE)
        history = model.fit(*workloads.random_data(work), epochs=steps, verbose=0)
    weights = np.concatenate([keras.ops.convert_to_numpy(w).ravel() for w in net.weights]).astype(np.float64)
    directions = np.random.default_rng(1).standard_normal((_PROBES, len(weights)))
    return {"losses": history.history["loss"], "probes": (directions @ weights).tolist()}


def matrix_products(*, size: int, policies: Sequence[str], repeats: int) -> dict[str, Any]:
    """`tflops_per_second` of products of two square matrices in each precision: what the device can reach."""
    return {
        "size": size,
        "tflops_per_second": {policy: _product(size, policy, repeats) for policy in policies},
    }


def _product(size: int, policy: str, repeats: int) -> float:
    half = policy == "mixed_bfloat16"

    @tf.function(autograph=False)
    def multiply(x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        for _ in range(_PRODUCTS):
            x = x @ matrix
        return x

    with precision(policy):
        # Scaled, so that products neither grow nor vanish.
        matrix = tf.random.stateless_normal([size, size], [0, 0]) / size**0.5
        matrix = tf.cast(matrix, tf.bfloat16) if half else matrix
        run = loops.timed(lambda passes: [multiply(matrix, matrix) for _ in range(passes)])
        timings = timing.measure({policy: run}, repeats, _say)
    return 2 * size**3 * _PRODUCTS / timing.spread(timing.seconds_of(timings)[policy]).median / 1e12


def speed(*, penalty: str, jit_compile: str, repeats: int, **work: Any) -> dict[str, Any]:
    """Passes of `fit`: see `step_suite.results`, whose one entry this is, and `micro_batch_size`."""
    run, flops = _fit(Workload(**work), penalty, jit_compile)
    configuration = step_suite.Configuration(work["dtype_policy"], jit_compile == "on", penalty)
    timings = timing.measure({configuration: run}, repeats, _say)
    (found,) = step_suite.results(timings, work["samples"], flops)
    return {**found, "micro_batch_size": work["micro_batch_size"]}


def profile(*, penalty: str, jit_compile: str, **work: Any) -> dict[str, Any]:
    """How busy the GPU is within a pass, by TensorBoard's profiler, see `busy`; and `seconds` of the pass."""
    run, _ = _fit(Workload(**work), penalty, jit_compile)
    run(1)
    settings = tf.profiler.experimental.ProfilerOptions(
        host_tracer_level=1, python_tracer_level=0, device_tracer_level=1
    )
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder, options=settings)
        seconds = run(1)
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        return {"seconds": seconds, **busy(file.read_bytes())}


def busy(trace: bytes) -> dict[str, float | None]:
    """How much of a trace the first GPU computed or copied.

    Args:
        trace: The profiler's XSpace, serialised.

    Returns:
        `span_seconds` from its first to its last event, `busy_seconds` in which there was one, and `idle_share`,
        the rest as a fraction; all None where the trace has no event of a GPU.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2  # no public name

    space = xplane_pb2.XSpace.FromString(trace)
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU:0")]
    lines = [line for plane in planes for line in plane.lines]
    # Streams are what ran; further lines (steps, modules, operations) are derived from them and enclose gaps.
    streams = [line for line in lines if line.name.startswith("Stream")] or lines
    events = [
        (1000 * line.timestamp_ns + e.offset_ps, 1000 * line.timestamp_ns + e.offset_ps + e.duration_ps)
        for line in streams
        for e in line.events
    ]
    if not events:
        return {"span_seconds": None, "busy_seconds": None, "idle_share": None}
    span = max(end for _, end in events) - min(start for start, _ in events)
    covered = union_length(events)
    return {
        "span_seconds": span / 1e12,
        "busy_seconds": covered / 1e12,
        "idle_share": 1 - covered / span if span else None,
    }


def union_length(intervals: Iterable[Interval]) -> int:
    """The length of the union of intervals (start, end)."""
    total, reached = 0, None
    for start, end in sorted(intervals):
        begin = start if reached is None else max(start, reached)
        total += max(end - begin, 0)
        reached = end if reached is None else max(end, reached)
    return total


def tests(*, folders: Sequence[str]) -> dict[str, Any]:
    """`exit_code` (None where there are no tests), last line (`summary`) and `failed` lines of pytest over folders."""
    there = [folder for folder in folders if (_ROOT / folder).is_dir()]
    if not there:
        return {"exit_code": None, "summary": "no tests beside the package"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--durations=0", "--tb=line", *there]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {
        "exit_code": done.returncode,
        "summary": lines[-1] if lines else "",
        "failed": failed,
        "folders": there,
        "seconds": time.perf_counter() - started,
    }


def _fit(work: Workload, penalty: str, jit_compile: str) -> tuple[timing.Passes, float | None]:
    """Passes of `fit` of the published model in a precision, and a gradient's operations."""
    with precision(work.dtype_policy):
        net = workloads.network(work)
        model = loops.published_model(net, penalty, work.micro_batch_size, jit_compile)
        run = loops.fit_of(model, work, workloads.random_data(work))
    return loops.in_precision(work.dtype_policy, run), gradient_flops(net)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "environment": environment,
    "trajectories": trajectories,
    "replicas": replicas,
    "matrix_products": matrix_products,
    "speed": speed,
    "profile": profile,
    "tests": tests,
}
"""Name -> measurement, for `fresh_process.call`."""
