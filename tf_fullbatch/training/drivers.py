"""How an epoch is stepped through: several steps per call over samples on the device, or pass by pass."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_fullbatch.core.objective import Objective
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.resident import ResidentSource, fits
from tf_fullbatch.data.stream import StreamSource
from tf_fullbatch.errors import UserError
from tf_fullbatch.training.step import FIGURES, Known, StepFunctions
from tf_fullbatch.training.step_loop import Limits, Position, StepLoop

ObjectiveOfStep = Callable[[int, int], Objective]
"""(epoch, step within it) -> the objective of its update batch."""
ChunkListener = Callable[[int, int], None]
"""Called after each call within a step with (rounds done, rounds in the step)."""


WORKERS_STREAM = (
    "--data_on_device=on (on_device=True) with several workers: their samples stream, so leave it at auto."
)
"""What is refused, and why."""


class Steps(NamedTuple):
    """Steps made.

    Attributes:
        figures: float64 `[steps, len(FIGURES)]`, and one row more where a step was refused or stopped: its own.
        refused: Whether the last row is of a step that was not applied.
        stopped: Whether a stop was asked for; the step under way was dropped.
    """

    figures: np.ndarray
    refused: bool
    stopped: bool


class ResidentDriver:
    """Steps over samples held on the devices, several per call where they are short.

    Args:
        loop: The compiled loop over steps.
        source: The samples.
    """

    def __init__(self, loop: StepLoop, source: ResidentSource):
        self._loop = loop
        self.source = source

    def advance(
        self, epoch: int, step: int, most: int, go_on: Callable[[], bool], listen: ChunkListener
    ) -> Steps:
        """Makes one step or more.

        Args:
            epoch: Passes over the data completed before.
            step: The step within the epoch to begin with.
            most: Most steps to make; at most as many as the epoch still has.
            go_on: Asked before each call whether to go on.
            listen: Told of each call within a step.
        """
        source, loop, plan = self.source, self._loop, self.source.plan
        pace = source.pace if source.pace.is_fixed else loop.pace(source.feed)
        at = Position(step, 0, 0)
        while True:
            if not go_on():
                loop.functions.passes.cleared()
                return Steps(np.empty((0, len(FIGURES))), refused=False, stopped=True)
            rounds = pace.rounds
            started = time.perf_counter()
            limits = Limits(rounds, min(most, rounds))
            at, done = loop.advance(source.feed, source.held, plan, epoch, at, limits)
            pace.took(rounds - done.rounds_left, time.perf_counter() - started)
            if done.steps or not done.accepted:
                listen(plan.rounds(step), plan.rounds(step))
                return Steps(done.figures, refused=not done.accepted, stopped=False)
            listen(at.round, plan.rounds(step))


class PassDriver:
    """One step per call of `advance`, its passes in calls of some rounds.

    For samples that stream, for several workers, and for methods that ask the objective.

    Args:
        functions: The compiled step.
        source: The samples.
        objective: (epoch, step) -> the step's objective, for a method that asks it; else None.
        one_function: Whether all steps descend one function, and nothing but the method and its figures needs their
            passes: what a method has asked at the weights that a step led to is then what the next step's pass gives.
    """

    def __init__(
        self,
        functions: StepFunctions,
        source: ResidentSource | StreamSource,
        objective: ObjectiveOfStep | None = None,
        one_function: bool = False,
    ):
        self._functions = functions
        self.source = source
        self._objective = objective
        self._one_function = one_function
        self._known: Known | None = None

    def advance(
        self, epoch: int, step: int, most: int, go_on: Callable[[], bool], listen: ChunkListener
    ) -> Steps:
        """Makes one step, whatever `most` allows; see `ResidentDriver.advance`."""
        del most
        functions, plan = self._functions, self.source.plan
        micro_batches = tf.constant(plan.micro_batches(step))
        scalars = functions.scalars(tf.constant(epoch, tf.int64))
        passes = functions.passes
        alone = plan.one_micro_batch and passes.count == 1 and self._objective is None
        if alone and go_on():
            ((held, place),) = self.source.calls(epoch, step)
            row, accepted = functions.whole(self.source.feed, held, place, scalars, micro_batches)
            listen(1, 1)
            return Steps(row.numpy()[np.newaxis], refused=not bool(accepted), stopped=False)
        votes = 0.0
        known = self._known_here()
        if known is not None:
            listen(plan.rounds(step), plan.rounds(step))
        else:
            passes.cleared()
        for phase in range(passes.count if known is None else 0):
            for held, place in self.source.calls(epoch, step):
                if not go_on():
                    votes = 1.0
                    break
                passes.added(self.source.feed, held, place, scalars, phase)
                listen(int(place.end), plan.rounds(step))
            if phase + 1 < passes.count and float(passes.first_ended(tf.constant(votes))):
                return Steps(np.empty((0, len(FIGURES))), refused=False, stopped=True)
        if self._objective is None:
            row, accepted = functions.finish(scalars, micro_batches, tf.constant(votes))
        else:
            asked = self._objective(epoch, step)
            row, accepted, later = functions.finish_asking(
                scalars, micro_batches, tf.constant(votes), asked, known
            )
            self._known = later if self._one_function else None
        figures = row.numpy()[np.newaxis]
        stopped = bool(figures[0, FIGURES.index("stop_votes")])
        return Steps(figures, refused=not stopped and not bool(accepted), stopped=stopped)

    def _known_here(self) -> Known | None:
        """What the step before has asked at the present weights; only once, and not where these were changed."""
        known, self._known = self._known, None
        return known if known is not None and bool(self._functions.are_at(known.weights)) else None


Driver = ResidentDriver | PassDriver
"""Makes steps of an epoch."""


def stay_on_devices(batches: UpdateBatches, strategy: tf.distribute.Strategy, taken: int = 0) -> bool:
    """Whether samples are held on the devices: where they fit and one process feeds them; else they stream.

    Args:
        batches: The samples.
        strategy: Of the devices.
        taken: As of `resident.fits`.

    Raises:
        UserError: They should be, but there are several workers.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return fits(batches, taken)
    if batches.on_device:
        raise UserError(WORKERS_STREAM)
    return False


def source_of(
    batches: UpdateBatches, micro_batch_size: int, strategy: tf.distribute.Strategy, repeats: int = 1
) -> ResidentSource | StreamSource:
    """Samples on the devices or streaming; made once for each size of micro-batches and strategy."""
    key = (micro_batch_size, strategy, repeats)
    known = batches.sources.get(key)
    if known is not None:
        return known
    if stay_on_devices(batches, strategy):
        source: ResidentSource | StreamSource = ResidentSource(batches, micro_batch_size, strategy)
    else:
        source = StreamSource(batches, micro_batch_size, strategy, repeats)
    batches.sources[key] = source
    return source


def driver_of(
    loop: StepLoop, source: ResidentSource | StreamSource, objective: ObjectiveOfStep, *, one_function: bool
) -> Driver:
    """The driver that fits a source and the method, which may ask the objective; see `PassDriver`."""
    if loop.functions.descent.asks_objective:
        return PassDriver(loop.functions, source, objective, one_function)
    if isinstance(source, ResidentSource):
        return ResidentDriver(loop, source)
    return PassDriver(loop.functions, source)
