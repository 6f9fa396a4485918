"""Passes over the update batch of one step, each compiled once, and broken off where a stop is asked for."""

from collections.abc import Callable

import tensorflow as tf

from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.kernels import StatisticsKernel, WithState
from tf_fullbatch.core.micro_batch import MicroBatchLoss, StepScalars
from tf_fullbatch.core.passes import Kernel, PassMeans, Place, Source
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import RunInterruptedError

PassMaker = Callable[[Kernel, int], FullPass]
"""Makes a pass of a kernel, with room for the figures of so many micro-batches."""


class StepPasses:
    """Runs kernels over the samples of one step.

    Args:
        make_pass: Makes passes over update batches.
        source: The update batches.
        step: Which step of an epoch.
        scalars: The step's scalars.
        micro_batches: How many the step has.
        stopped_by: Asked before each call; says who or what asks for a stop, or None to go on.
        compiled: Key -> compiled pass, of all whose kernels are of the same loss and number of micro-batches.
    """

    def __init__(
        self,
        make_pass: PassMaker,
        source: Source,
        step: int,
        scalars: StepScalars,
        micro_batches: int,
        stopped_by: Callable[[], str | None],
        compiled: dict[tuple, FullPass],
    ):
        self._make_pass, self._source, self._step = make_pass, source, step
        self.scalars, self.micro_batches = scalars, micro_batches
        self._stopped_by = stopped_by
        self.compiled = compiled

    def run(self, key: tuple, kernel: Callable[[], Kernel], theta: Tree | None, *extra: object) -> PassMeans:
        """A pass.

        Args:
            key: Of the kernel; it is made and compiled where there is none of this key.
            kernel: Makes it.
            theta: Tree, where it is evaluated; None for the present values.
            *extra: Handed to it.

        Raises:
            RunInterruptedError: A stop was asked for.
        """
        if key not in self.compiled:
            made = kernel()
            room = self.micro_batches if tf.nest.flatten(made.like()[2]) else 0
            self.compiled[key] = self._make_pass(made, room)
        run = self.compiled[key].run
        means = run(self._source, self._step, self.scalars, theta, *extra, between=self._goes_on)
        if float(means.stop_votes):
            raise RunInterruptedError(self._stopped_by() or "another worker")
        return means

    def _goes_on(self, place: Place) -> bool:
        del place
        return self._stopped_by() is None


class RecalibratedPasses:
    """Runs kernels of a network in inference whose moving averages are the set's own at the very parameters.

    Args:
        passes: Over the step.
        in_training: The loss of the network in training, which measures the statistics.

    Attributes:
        calibrations: Passes made for statistics so far.
    """

    def __init__(self, passes: StepPasses, in_training: MicroBatchLoss):
        self._passes, self._in_training = passes, in_training
        self._known: tuple[Tree, Tree] | None = None
        self.calibrations = 0

    def run(self, key: tuple, kernel: Callable[[], Kernel], theta: Tree, *extra: object) -> PassMeans:
        """`StepPasses.run`, and before it a pass for the statistics where theta is new."""
        state = self.state(theta)
        return self._passes.run(("recalibrated", *key), lambda: WithState(kernel()), theta, state, *extra)

    def state(self, theta: Tree) -> Tree:
        """The values of the non-trainable variables at theta, as a training pass over the set would make them."""
        if self._known is not None and all(a is b for a, b in zip(theta, self._known[0], strict=True)):
            return self._known[1]
        network = self._in_training.call.state
        means = self._passes.run(("statistics",), lambda: StatisticsKernel(self._in_training), theta)
        self.calibrations += 1
        state = network.recalibrated(network.values(), means.sampled)
        self._known = theta, state
        return state
