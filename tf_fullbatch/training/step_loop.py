"""The loop over an epoch's steps in one compiled call, over samples held on the devices."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.passes import Feed, Place
from tf_fullbatch.core.traced_once import TracedOnce
from tf_fullbatch.data.pace import Pace
from tf_fullbatch.data.plan import BatchPlan, pieces
from tf_fullbatch.data.resident import HeldSamples, ResidentFeed
from tf_fullbatch.training.step import FIGURES, StepFunctions


class Position(NamedTuple):
    """Where training stands within an epoch; numbers, or int32 scalars in a graph.

    Attributes:
        step: The step within the epoch.
        round: Rounds of it already passed over.
        phase: Which of the step's passes, from 0.
    """

    step: Any
    round: Any
    phase: Any


class Limits(NamedTuple):
    """What one call of `StepLoop.advance` may do.

    Attributes:
        rounds: Rounds to go over at most, 1 or more.
        steps: Steps to complete at most, 1 or more.
    """

    rounds: Any
    steps: Any


class Done(NamedTuple):
    """What one call of `StepLoop.advance` did.

    Attributes:
        steps: Steps completed.
        accepted: Whether every step's quantities were finite; a step whose are not is not applied.
        rounds_left: Rounds of the limit that were not gone over.
        figures: float64 `[steps, len(FIGURES)]`, and one row more where a step was refused: its own.
    """

    steps: Any
    accepted: Any
    rounds_left: Any
    figures: Any


class Question(NamedTuple):
    """What one call is asked: int32 scalars in a graph, one vector on the way there.

    Attributes:
        samples: N, of an epoch.
        update_batch_size: Samples per step.
        position: Where to begin.
        limits: Where to end.
    """

    samples: Any
    update_batch_size: Any
    position: Position
    limits: Limits


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
        self,
        feed: ResidentFeed,
        held: HeldSamples,
        plan: BatchPlan,
        epoch: int,
        position: Position,
        limits: Limits,
    ) -> tuple[Position, Done]:
        """Goes on with an epoch over samples held on the devices: in one call, several steps or part of one.

        Args:
            feed: Where micro-batches come from.
            held: What it holds on each replica.
            plan: How an epoch is cut.
            epoch: Passes over the data completed before.
            position: Where to begin.
            limits: Where to end.

        Returns:
            Where it ended, and what was done, as numbers and NumPy arrays.
        """
        if feed not in self._advances:
            alone = self.functions.passes.count == 1 and feed.one_micro_batch
            self._advances[feed] = TracedOnce(
                functools.partial(self._in_graph, self._single if alone else self._advance, feed)
            )
        question = Question(plan.samples, plan.update_batch_size, position, limits)
        numbers, figures = self._advances[feed](
            held, tf.constant(tf.nest.flatten(question), tf.int32), tf.constant(epoch, tf.int64)
        )
        *at, steps, accepted, rounds_left = numbers.numpy().tolist()
        rows = figures.numpy()[: steps + (not accepted)]
        return Position(*at), Done(steps, bool(accepted), rounds_left, rows)

    def _in_graph(
        self,
        loop: Callable[..., tuple[Position, Done]],
        feed: ResidentFeed,
        held: HeldSamples,
        numbers: tf.Tensor,
        epoch: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One of the loops below, asked and answering in few tensors: each costs a call on its way."""
        like = Question(0, 0, Position(0, 0, 0), Limits(0, 0))
        question = tf.nest.pack_sequence_as(like, tf.unstack(numbers, len(tf.nest.flatten(like))))
        at, done = loop(feed, held, epoch, question)
        answer = tf.stack([*at, done.steps, tf.cast(done.accepted, tf.int32), done.rounds_left])
        return answer, done.figures

    def _single(
        self, feed: ResidentFeed, held: HeldSamples, epoch: tf.Tensor, question: Question
    ) -> tuple[Position, Done]:
        """Steps that are one micro-batch each."""
        at, limits = question.position, question.limits
        ahead = _steps_per_epoch(question) - at.step
        most = tf.minimum(tf.minimum(limits.rounds, limits.steps), ahead)

        def body(steps: tf.Tensor, accepted: tf.Tensor, figures: tf.TensorArray) -> tuple:
            del accepted
            place = Place(at.step + steps, 0, 1)
            scalars = self.functions.scalars_now(epoch)
            row, accepted = self.functions.whole_in_graph(feed, held, place, scalars, tf.constant(1))
            return steps + tf.cast(accepted, tf.int32), accepted, figures.write(steps, row)

        begin = (tf.constant(0), tf.constant(True), _rows(limits.steps))
        steps, accepted, figures = tf.while_loop(
            lambda steps, accepted, figures: (steps < most) & accepted, body, begin, parallel_iterations=1
        )
        tried = steps + tf.cast(~accepted, tf.int32)
        return (
            at._replace(step=at.step + steps),
            Done(steps, accepted, limits.rounds - tried, figures.stack()),
        )

    def _advance(
        self, feed: ResidentFeed, held: HeldSamples, epoch: tf.Tensor, question: Question
    ) -> tuple[Position, Done]:
        """Steps of any number of micro-batches, or part of one."""
        samples, update_batch, begin, limits = question
        steps_per_epoch = _steps_per_epoch(question)
        passes = self.functions.passes.count

        def size(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            """(micro-batches, rounds) of a step."""
            in_step = tf.minimum(update_batch, samples - step * update_batch)
            micro_batches = pieces(in_step, feed.micro_batch_size)
            return micro_batches, pieces(micro_batches, feed.replicas)

        def goes_on(at: Position, done: Done) -> tf.Tensor:
            # A call that has completed a step begins no other that it could not complete.
            needed = tf.where(done.steps == 0, 1, passes * size(at.step)[1])
            within = (done.rounds_left >= needed) & (done.steps < limits.steps) & (at.step < steps_per_epoch)
            return within & done.accepted

        def body(at: Position, done: Done) -> tuple[Position, Done]:
            scalars = self.functions.scalars_now(epoch)
            micro_batches, rounds = size(at.step)
            end = tf.minimum(at.round + done.rounds_left, rounds)
            self._pass_over(feed, held, Place(at.step, at.round, end), scalars, at.phase)
            new, completed, row, accepted = tf.cond(
                end == rounds,
                lambda: self._end_of_pass(at, scalars, micro_batches),
                lambda: (at._replace(round=end), 0, tf.zeros([len(FIGURES)], tf.float64), True),
            )
            # A pass that is not over writes where the step's own row will be.
            figures = done.figures.write(done.steps, row)
            return new, Done(done.steps + completed, accepted, done.rounds_left - (end - at.round), figures)

        done = Done(tf.constant(0), tf.constant(True), limits.rounds, _rows(limits.steps))
        at, done = tf.while_loop(goes_on, body, (begin, done), parallel_iterations=1)
        return at, done._replace(figures=done.figures.stack())

    def _pass_over(self, feed: Feed, held: Any, place: Place, scalars: StepScalars, phase: tf.Tensor) -> None:
        """Adds rounds to the sums of the phase's pass."""
        passes = self.functions.passes

        def of(one: int) -> tf.Tensor:
            passes.add(feed, held, place, scalars, one)
            return tf.constant(0)

        if passes.count == 1:
            of(0)
        else:
            tf.cond(phase == 0, lambda: of(0), lambda: of(1))

    def _end_of_pass(
        self, at: Position, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
        """(new position, steps completed, figures, whether accepted) once a pass is over."""

        def step_ends() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            row, accepted = self.functions.end_step(scalars, micro_batches, tf.zeros([]))
            moved = tf.cast(accepted, tf.int32)
            return (
                Position(at.step + moved, 0 * at.round, 0 * at.phase),
                moved,
                row,
                accepted,
            )

        def second_begins() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            self.functions.passes.end_first(tf.zeros([]))
            row = tf.zeros([len(FIGURES)], tf.float64)
            return (
                Position(at.step, 0 * at.round, 0 * at.phase + 1),
                tf.constant(0),
                row,
                tf.constant(True),
            )

        if self.functions.passes.count == 1:
            return step_ends()
        return tf.cond(at.phase == 0, second_begins, step_ends)


def _steps_per_epoch(question: Question) -> tf.Tensor:
    return pieces(question.samples, question.update_batch_size)


def _rows(steps: tf.Tensor) -> tf.TensorArray:
    return tf.TensorArray(tf.float64, size=steps, element_shape=[len(FIGURES)])
