"""Steps whose micro-batches wait instead of computing: what is left is the step's own time, on few cores too.

A wait takes no core, so that as many replicas as wanted "compute" at once, each as if it had a device of its own.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.micro_batch import MicroBatch, StepScalars
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.run.devices import choose_strategy
from tf_fullbatch.training.drivers import source_of
from tf_fullbatch.training.parts import no_scalars

_RATE = 1e-3


class WaitingKernel:
    """A micro-batch that takes a while and gives a vector.

    Args:
        numbers: P, of the vector.
        seconds: Mean time.
        spread: Standard deviation of the time, log-normal, as a share of the mean.
        seed: Of the times.
    """

    def __init__(self, numbers: int, seconds: float, spread: float, seed: int):
        self._numbers = numbers
        variance = np.log1p(spread**2)
        random = np.random.default_rng(seed)
        self._draw = lambda: seconds * random.lognormal(-variance / 2, np.sqrt(variance))

    def like(self) -> tuple[Any, Any, Any]:
        """See `passes.Kernel`."""
        return [tf.TensorSpec([self._numbers])], (), ()

    def __call__(
        self, theta: Tree, state: Tree, batch: MicroBatch, scalars: StepScalars, *extra: Any
    ) -> Contribution:
        """Waits."""
        del theta, state, scalars, extra
        waited = tf.numpy_function(self._wait, [batch.index], tf.float32)
        vector = tf.fill([self._numbers], tf.reshape(waited, []))
        samples = tf.shape(batch.sample_ids)[0]
        return Contribution([vector], (), (), samples, samples)

    def _wait(self, index: int) -> np.float32:
        del index
        time.sleep(self._draw())
        return np.float32(1)


class WaitingSteps:
    """Steps of K such micro-batches: a pass with its one sum over the replicas, and an update.

    Args:
        strategy: Over which replicas.
        numbers: P, weights.
        micro_batches: K.
        seconds: Mean time of a micro-batch.
        spread: Its standard deviation, as a share of the mean.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        numbers: int,
        micro_batches: int,
        seconds: float,
        spread: float = 0.0,
    ):
        seed = strategy.cluster_resolver.task_id if strategy.cluster_resolver else 0
        kernel = WaitingKernel(numbers, seconds, spread, seed)
        self._full_pass = FullPass(kernel, read=lambda: ([], []), dtype="float32", strategy=strategy)
        samples = np.zeros((micro_batches, 1), np.float32), np.zeros(micro_batches, np.int32)
        batches = UpdateBatches(*samples, chunk_micro_batches=micro_batches)
        self._source = source_of(batches, 1, strategy)
        with strategy.scope():
            self._weights = tf.Variable(tf.zeros([numbers]))
        self._update = tf.function(self._updated)

    def __call__(self, steps: int) -> None:
        """Makes some."""
        for _ in range(steps):
            means = self._full_pass.run(self._source, 0, no_scalars())
            self._update(means.weighted[0])

    def _updated(self, mean: tf.Tensor) -> None:
        self._weights.assign_sub(_RATE * mean)


class Exchange:
    """One sum of a vector over the replicas, and an update of every replica's weights by it.

    Args:
        strategy: Over which replicas.
        numbers: P, of the vector.
    """

    def __init__(self, strategy: tf.distribute.Strategy, numbers: int):
        self._strategy = strategy
        with strategy.scope():
            self._weights = tf.Variable(tf.ones([numbers]))
        self._call = tf.function(self._exchanged)

    def __call__(self, times: int) -> None:
        """Makes some."""
        for _ in range(times):
            self._call()

    def _exchanged(self) -> None:
        vectors = self._strategy.run(lambda: tf.identity(self._weights))
        if self._strategy.num_replicas_in_sync == 1:
            total = vectors
        else:
            total = self._strategy.reduce(tf.distribute.ReduceOp.SUM, vectors, axis=None)
        self._weights.assign_sub(_RATE * total)


def waiting(
    *,
    replicas: int,
    numbers: list[int],
    micro_batches: list[int],
    seconds: float,
    spread: float,
    repeats: int,
) -> dict[str, Any]:
    """What exchanges and steps of waits take, of this process' replicas: logical CPUs, or the workers of TF_CONFIG.

    Args:
        replicas: Logical CPUs; 0 for the cluster of TF_CONFIG.
        numbers: Sizes of vectors.
        micro_batches: Of a step.
        seconds: Mean time of a micro-batch.
        spread: Of the time of micro-batches in steps that vary.
        repeats: Timings of each; of steps that vary, four times as many.

    Returns:
        `exchange` (size -> seconds of each timing), `step` (size -> micro-batches -> seconds of each), `varying`
        (seconds of each step, of the smallest size and the most micro-batches).
    """
    strategy = choose_strategy(RuntimeConfig(simulate_devices=replicas if replicas > 1 else 0))
    timed = functools.partial(_timed, repeats=repeats)
    steps = {
        size: {count: timed(WaitingSteps(strategy, size, count, seconds)) for count in micro_batches}
        for size in numbers
    }
    varying = WaitingSteps(strategy, min(numbers), max(micro_batches), seconds, spread)
    return {
        "exchange": {size: timed(Exchange(strategy, size), each=5) for size in numbers},
        "step": steps,
        "varying": _timed(varying, 4 * repeats),
    }


def _timed(run: Callable[[int], None], repeats: int, each: int = 1) -> list[float]:
    """Seconds of one, so many timings of `each`, after one that compiles; on CPUs a call returns when it is done."""
    run(2)
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        run(each)
        found.append((time.perf_counter() - started) / each)
    return found
