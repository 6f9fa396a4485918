"""One optimizer update over an update batch, as compiled parts: pass, reduce, transform, apply."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import penalties, transforms, trees
from tf_fullbatch.core.full_pass import Feed, FullPass, PassMeans, Place
from tf_fullbatch.core.kernels import GradientMeans, SampleMeans
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.network_state import NetworkState
from tf_fullbatch.core.traced_once import TracedOnce
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.data.plan import BatchPlan
from tf_fullbatch.data.resident import HeldSamples, ResidentFeed
from tf_fullbatch.optim.descent import At, Descent

FIGURES = (
    "loss",
    "accuracy",
    "penalised_objective",
    "penalty",
    "gradient_norm",
    "clipped",
    "mean_squared_micro_batch_gradient_norm",
    "learning_rate",
    "gradient_evaluations",
    "parameter_norm",
    "update_norm",
    "samples",
    "state_sum",
    "stop_votes",
)
"""What a step measures, in the order of a row of figures, float64."""

MICRO_BATCHES, FULL_GRADIENT = 0, 1
"""The phases of a step: with the penalty on the whole gradient, first a pass for that gradient."""


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
    """What one call of `StepFunctions.advance` may do.

    Attributes:
        epoch: int64, passes over the data completed before.
        rounds: int32, rounds to go over at most.
        steps: int32, steps to complete at most.
    """

    epoch: tf.Tensor
    rounds: tf.Tensor
    steps: tf.Tensor


class Done(NamedTuple):
    """What one call of `StepFunctions.advance` did.

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


class StepFunctions:
    """The compiled parts of a step. Made once a model is built; holds the step's scratch sums.

    Args:
        full_pass: The pass with the penalty.
        plain_pass: The pass for the whole gradient; None where no penalty needs it.
        descent: Moves the weights.
        state: The network's state, for its statistics.
        settings: Clipping, noise, penalty.
        trainable: The trainable variables.
        strategy: The strategy in whose scope the model was built.
    """

    def __init__(
        self,
        *,
        full_pass: FullPass,
        plain_pass: FullPass | None,
        descent: Descent,
        state: NetworkState,
        settings: StepConfig,
        trainable: Sequence[keras.Variable],
        strategy: tf.distribute.Strategy,
    ):
        self.descent = descent
        self._full_pass = full_pass
        self._plain_pass = plain_pass
        self._state = state
        self._settings = settings
        self._trainable = list(trainable)
        self._transforms = [transforms.clipping(settings.clip_norm, settings.clip_norm_type)]
        if settings.additive_noise:
            self._transforms.append(transforms.langevin_noise(settings.additive_noise, settings.seed))
        self._full_gradient: list[tf.Variable] = []
        if plain_pass is not None:
            with strategy.scope():
                self._full_gradient = [
                    tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False) for v in self._trainable
                ]
        self._advances: dict[ResidentFeed, TracedOnce] = {}
        self.clear = tf.function(self._clear, autograph=False)
        self.finish = tf.function(self._finish, autograph=False)
        self.keep_full_gradient = tf.function(self._keep_full_gradient, autograph=False)
        self.scalars = tf.function(self._scalars, autograph=False)

    @property
    def first_phase(self) -> int:
        """The phase that a step begins with."""
        return MICRO_BATCHES if self._plain_pass is None else FULL_GRADIENT

    @property
    def full_gradient(self) -> Tree | None:
        """The whole gradient kept by the step under way; None where no penalty needs it."""
        return [tf.convert_to_tensor(v) for v in self._full_gradient] or None

    @property
    def traces(self) -> int:
        """How often the loop of `advance` was traced."""
        return sum(advance.count for advance in self._advances.values())

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

    def add(self, feed: Feed, held: Any, place: Place, scalars: StepScalars, phase: int) -> None:
        """Adds a part of a step's pass to the sums; for samples that stream, and for several workers."""
        if phase == FULL_GRADIENT:
            assert self._plain_pass is not None
            self._plain_pass.added(feed, held, place, scalars)
        else:
            self._full_pass.added(feed, held, place, scalars, None, self.full_gradient)

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

        passes = 1 if self._plain_pass is None else 2
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
            scalars = self._scalars(limits.epoch)
            micro_batches, rounds = size(at.step)
            if of_one:
                means = self._full_pass.of_one(
                    feed, held, Place(at.step, at.round, at.round + 1), scalars, None
                )
                row, accepted = self._end(means, scalars, micro_batches)
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
            self._full_pass.add(feed, held, place, scalars, None, self.full_gradient)
            return tf.constant(0)

        def plain() -> tf.Tensor:
            assert self._plain_pass is not None
            self._plain_pass.add(feed, held, place, scalars)
            return tf.constant(0)

        if self._plain_pass is None:
            penalised()
        else:
            tf.cond(phase == FULL_GRADIENT, plain, penalised)

    def _end_of_pass(
        self, at: Position, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
        """(new position, steps completed, figures, whether accepted) once a pass is over."""

        def step_ends() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            row, accepted = self._finish(scalars, micro_batches, tf.zeros([]))
            moved = tf.cast(accepted, tf.int32)
            return (
                Position(at.step + moved, 0 * at.round, 0 * at.phase + self.first_phase),
                moved,
                row,
                accepted,
            )

        def gradient_is_known() -> tuple[Position, tf.Tensor, tf.Tensor, tf.Tensor]:
            self._keep_full_gradient(tf.zeros([]))
            row = tf.zeros([len(FIGURES)], tf.float64)
            return (
                Position(at.step, 0 * at.round, 0 * at.phase + MICRO_BATCHES),
                tf.constant(0),
                row,
                tf.constant(True),
            )

        if self._plain_pass is None:
            return step_ends()
        return tf.cond(at.phase == FULL_GRADIENT, gradient_is_known, step_ends)

    def _keep_full_gradient(self, stop_votes: tf.Tensor) -> tf.Tensor:
        """Ends the pass for the whole gradient, neither clipped nor noisy, and keeps it; returns the votes' sum."""
        assert self._plain_pass is not None
        means = self._plain_pass.means(stop_votes)
        for kept, mean in zip(self._full_gradient, means.weighted.gradient, strict=True):
            kept.assign(tf.cast(mean, kept.dtype))
        self._plain_pass.clear()
        return means.stop_votes

    def _clear(self) -> None:
        """Forgets a step that was broken off."""
        self._full_pass.clear()
        if self._plain_pass is not None:
            self._plain_pass.clear()

    def _scalars(self, epoch: tf.Tensor) -> StepScalars:
        """The scalars of the step about to be made."""
        settings, floatx = self._settings, keras.config.floatx()
        strengths = [settings.penalty_strength, settings.full_gradient_penalty_strength]
        tensors = [tf.constant(strength, tf.float64) for strength in strengths]
        if settings.penalty_warmup_epochs:
            ramp = tf.minimum(tf.cast(epoch, tf.float64) / settings.penalty_warmup_epochs, 1.0)
            tensors = [ramp * strength for strength in tensors]
        return StepScalars(
            self.descent.steps_completed,
            epoch,
            tf.cast(self.descent.learning_rate, floatx),
            *(tf.cast(strength, floatx) for strength in tensors),
        )

    def _finish(
        self, scalars: StepScalars, micro_batches: tf.Tensor, stop_votes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Ends a step: reduces, transforms, and applies where every quantity is finite and nobody stops.

        Args:
            scalars: The step.
            micro_batches: K, how many the step had.
            stop_votes: See `FullPass.means`.

        Returns:
            The step's row of figures, and whether it was applied.
        """
        row, accepted = self._end(self._full_pass.means(stop_votes), scalars, micro_batches)
        self._full_pass.clear()
        return row, accepted

    def _end(
        self, means: PassMeans, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(row of figures, whether applied) of a step whose pass gave these means."""
        gradient, measured = transforms.apply_all(self._transforms, means.weighted.gradient, scalars.step)
        gradient = [tf.cast(g, v.dtype) for g, v in zip(gradient, self._trainable, strict=True)]
        figures = self._figures(means, scalars) | measured
        watched = ("loss", "gradient_norm", "mean_squared_micro_batch_gradient_norm", "state_sum")
        finite = [tf.math.is_finite(figures[name]) for name in watched]
        accepted = tf.reduce_all(tf.stack(finite)) & (means.stop_votes == 0)

        def apply() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return self._apply(At(means.weighted.loss, gradient), means.sampled, micro_batches)

        nothing = [tf.zeros([], tf.float64)] * 3
        applied = tf.cond(accepted, apply, lambda: tuple(nothing))
        figures["parameter_norm"], figures["update_norm"], evaluations = applied
        figures["gradient_evaluations"] = evaluations + self._settings.gradient_evaluations
        return tf.stack([tf.cast(figures[name], tf.float64) for name in FIGURES]), accepted

    def _figures(self, means: PassMeans, scalars: StepScalars) -> dict[str, tf.Tensor]:
        """What a pass measured."""
        weighted: GradientMeans = means.weighted
        sampled: SampleMeans = means.sampled
        penalty = penalties.penalty_value(scalars, weighted.squared_norm, self.full_gradient)
        sums = [tf.reduce_sum(m) for m in sampled.measurements]
        return {
            "loss": weighted.loss,
            "accuracy": sampled.accuracy,
            "penalty": penalty,
            "penalised_objective": tf.cast(weighted.loss, penalty.dtype) + penalty,
            "mean_squared_micro_batch_gradient_norm": weighted.squared_norm,
            "learning_rate": scalars.learning_rate,
            "samples": means.samples,
            "state_sum": tf.add_n(sums) if sums else tf.zeros([]),
            "stop_votes": means.stop_votes,
        }

    def _apply(
        self, at: At, sampled: SampleMeans, micro_batches: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Moves weights and statistics; (parameter norm, update norm, evaluations spent), float64 scalars."""
        before = [tf.identity(v.value) for v in self._trainable]
        new = self._state.updated_values(sampled.measurements, micro_batches)
        # Before the optimizer: a network may have assigned trainable weights when it was called.
        for variable, value in zip(self._state.measured, new, strict=True):
            variable.assign(value)
        made = self.descent.step(at, None)
        after = [tf.convert_to_tensor(v.value) for v in self._trainable]
        norms = trees.global_norm(after), trees.global_norm(trees.subtract(after, before))
        return tuple(tf.cast(n, tf.float64) for n in (*norms, made.evaluations))
