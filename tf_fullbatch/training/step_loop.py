"""The loop over an epoch's steps in one compiled call, over samples held on the devices."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.passes import Feed, Place
from tf_fullbatch.core.traced_once import TracedOnce
from tf_fullbatch.data.pace import Pace
from tf_fullbatch.data.plan import BatchPlan
from tf_fullbatch.data.resident import HeldSamples, ResidentFeed
from tf_fullbatch.training.step import FIGURES, FULL_GRADIENT, MICRO_BATCHES, StepFunctions


class Position(NamedTuple):
    """Where training stands within an epoch.

    Attributes:
        step: int32, the step within the epoch.
        round: int32, rounds of it already passed over.
        phase: int32, `MICRO_BATCHES` or `FULL_GRADIENT`.
    """

    step: tf.Tensor
    round: tf.Tensor
    phase: tf.Tensor


class Limits(NamedTuple):
    """What one call of `StepLoop.advance` may do.

    Attributes:
        epoch: int64, passes over the data completed before.
        rounds: int32, rounds to go over at most.
        steps: int32, steps to complete at most.
    """

    epoch: tf.Tensor
    rounds: tf.Tensor
    steps: tf.Tensor


class Done(NamedTuple):
    """What one call of `StepLoop.advance` did.

    Attributes:
        steps: int32, steps completed.
        figures: float64 `[steps, len(FIGURES)]`, and one row more where a step was refused: its own.
        accepted: Whether every step's quantities were finite; a step whose are not is not applied.
        rounds_left: int32, rounds of the limit that were not gone over.
    """

    steps: tf.Tensor
    figures: Any
    accepted: tf.Tensor
    rounds_left: tf.Tensor


class StepLoop:
    """Makes steps, or parts of one, in one call.

    Args:
        functions: The parts of a step.
    """

    def __init__(self, functions: StepFunctions):
        self.functions = functions
        self._advances: dict[ResidentFeed, TracedOnce] = {}
        self._paces: dict[ResidentFeed, Pace] = {}

    @property
    def traces(self) -> int:
        """How often the loop of `advance` was traced."""
        return sum(advance.count for advance in self._advances.values())

    def pace(self, feed: ResidentFeed) -> Pace:
        """The pace of calls over micro-batches of a feed, kept from one `fit` to the next."""
        return self._paces.setdefault(feed, Pace())

    def advance(
        self, feed: ResidentFeed, held: HeldSamples, plan: BatchPlan, position: Position, limits: Limits
    ) -> tuple[Position, Done]:
        """Goes on with an epoch over samples held on the devices: in one call, several steps or part of one.

        Args:
            feed: Where micro-batches come from.
            held: What it holds on each replica.
            plan: How an epoch is cut.
            position: Where to begin.
            limits: Where to end.
        """
        if feed not in self._advances:
            self._advances[feed] = TracedOnce(functools.partial(self._advance, feed))
        sizes = [tf.constant(n, tf.int32) for n in (plan.samples, plan.update_batch_size)]
        return self._advances[feed](held, sizes, position, limits)

    def _advance(
        self,
        feed: ResidentFeed,
        held: HeldSamples,
        sizes: Sequence[tf.Tensor],
        position: Position,
        limits: Limits,
    ) -> tuple[Position, Done]:
        samples, update_batch = sizes
        steps_per_epoch = (samples + update_batch - 1) // update_batch

        passes = 1 if self.functions.plain_pass is None else 2
        of_one = passes == 1 and feed.one_micro_batch

        def size(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """(micro-batches, rounds) of a step."""
            in_step = tf.minimum(update_batch, samples - step * update_batch)
            micro_batches = (in_step + feed.micro_batch_size - 1) // feed.micro_batch_size
            return micro_batches, (micro_batches + feed.replicas - 1) // feed.replicas

        def goes_on(at: Position, done: Done) -> tf.Tensor:
            # A call that has completed a step begins no other that it could not complete.
            needed = tf.where(done.steps == 0, 1, passes * size(at.step)[1])
            within = (done.rounds_left >= needed) & (done.steps < limits.steps) & (at.step < steps_per_epoch)
            return within & done.accepted

        def body(at: Position, done: Done) -> tuple[Position, Done]:
            scalars = self.functions.scalars_now(limits.epoch)
            micro_batches, rounds = size(at.step)
            if of_one:
                place = Place(at.step, at.round, at.round + 1)
                row, accepted = self.functions.whole_in_graph(feed, held, place, scalars, micro_batches)
                moved = tf.cast(accepted, tf.int32)
                figures = done.figures.write(done.steps, row)
                left = done.rounds_left - 1
                return at._replace(step=at.step + moved), Done(done.steps + moved, figures, accepted, left)
            end = tf.minimum(at.round + done.rounds_left, rounds)
            self._pass_over(feed, held, Place(at.step, at.round, end), scalars, at.phase)
            new, completed, row, accepted = tf.cond(
                end == rounds,
                lambda: self._end_of_pass(at, scalars, micro_batches),
                lambda: (at._replace(round=end), 0, tf.zeros([len(FIGURES)], tf.float64), True),
            )
            # A pass that is not over writes where the step's own row will be.
            figures = done.figures.write(done.steps, row)
            return new, Done(done.steps + completed, figures, accepted, done.rounds_left - (end - at.round))

        figures = tf.TensorArray(tf.float64, size=limits.steps, element_shape=[len(FIGURES)])
        done = Done(tf.constant(0), figures, tf.constant(True), limits.rounds)
        at, done = tf.while_loop(goes_on, body, (position, done), parallel_iterations=1)
        return at, done._replace(figures=done.figures.stack())

    def _pass_over(self, feed: Feed, held: Any, place: Place, scalars: StepScalars, phase: tf.Tensor) -> None:
        """Adds rounds to the sums of the phase's pass."""

        def penalised() -> tf.Tensor:
            self.functions.full_pass.add(feed, held, place, scalars, None, self.functions.full_gradient)
            return tf.constant(0)

        def plain() -> tf.Tensor:
            assert self.functions.plain_pass is not None
            self.functions.plain_pass.add(feed, held, place, scalars)
            return tf.constant(0)

        if self.functions.plain_pass is None:
            penalised()
        else:
            tf.cond(phase == FULL_GRADIENT, plain, penalised)

    def _end_of_pass(
        self, at: Position, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
        """(new position, steps completed, figures, whether accepted) once a pass is over."""

        def step_ends() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            row, accepted = self.functions.end_step(scalars, micro_batches, tf.zeros([]))
            moved = tf.cast(accepted, tf.int32)
            return (
                Position(at.step + moved, 0 * at.round, 0 * at.phase + self.functions.first_phase),
                moved,
                row,
                accepted,
            )

        def gradient_is_known() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            self.functions.end_plain_pass(tf.zeros([]))
            row = tf.zeros([len(FIGURES)], tf.float64)
            return (
                Position(at.step, 0 * at.round, 0 * at.phase + MICRO_BATCHES),
                tf.constant(0),
                row,
                tf.constant(True),
            )

        if self.functions.plain_pass is None:
            return step_ends()
        return tf.cond(at.phase == FULL_GRADIENT, gradient_is_known, step_ends)
