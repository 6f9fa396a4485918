"""One optimizer update over an update batch, as compiled parts: pass, reduce, transform, apply."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import keras_internals, penalties, trees
from tf_fullbatch.core.kernels import GradientMeans, SampleMeans
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.network_state import NetworkState
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Feed, PassMeans, Place
from tf_fullbatch.core.traced_once import TracedOnce
from tf_fullbatch.core.transforms.base import StepStart, Transform, apply_all
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.descent import At, Descent
from tf_fullbatch.training.phases import OnePass

FIGURES = (
    "loss",
    "cross_entropy",
    "accuracy",
    "penalised_objective",
    "penalty",
    "gradient_norm",
    "clipped",
    "mean_squared_micro_batch_gradient_norm",
    "unpenalised_gradient_norm",
    "learning_rate",
    "gradient_evaluations",
    "parameter_norm",
    "update_norm",
    "samples",
    "micro_batches",
    "state_sum",
    "stop_votes",
)
"""What a step measures, in the order of a row of figures, float64."""

WATCHED = {
    "loss": "the loss",
    "gradient_norm": "the gradient norm",
    "mean_squared_micro_batch_gradient_norm": "the micro-batches' mean squared gradient norm",
    "state_sum": "the sum of the normalisation statistics",
    "learning_rate": "the learning rate",
}
"""Figures without which a step is not applied where they are not finite, in words."""

_NOTHING_APPLIED = (0.0, 0.0, 0.0)
"""What `StepFunctions._moved_from` gives of a step that was not applied."""


class Known(NamedTuple):
    """What is known before a step.

    Attributes:
        weights: Tree, where.
        means: What the step's pass would measure there.
    """

    weights: Tree
    means: PassMeans


class StepFunctions:
    """The compiled parts of a step. Made once a model is built; holds the step's scratch sums.

    Args:
        passes: What the gradient is made of.
        descent: Moves the weights.
        state: The network's state, for its statistics.
        settings: The penalty.
        transforms: Of the gradient, in the order in which they act.
        trainable: The trainable variables.
    """

    def __init__(
        self,
        *,
        passes: OnePass,
        descent: Descent,
        state: NetworkState,
        settings: StepConfig,
        transforms: Sequence[Transform],
        trainable: Sequence[keras.Variable],
    ):
        self.descent = descent
        self.passes = passes
        self._state = state
        self._settings = settings
        self._trainable = list(trainable)
        self._transforms = list(transforms)
        self._wholes: dict[Feed, TracedOnce] = {}
        self.finish = keras_internals.compiled(self.end_step)
        self._end_pass = keras_internals.compiled(self._ended_pass)
        self._look_at = keras_internals.compiled(self._transformed)
        self.scalars = keras_internals.compiled(self.scalars_now)
        self._read = keras_internals.compiled(self.weights)
        self._end = keras_internals.compiled(self._ended)
        self.are_at = keras_internals.compiled(self._are_at)

    def whole(
        self, feed: Feed, held: Any, place: Place, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A step that is one micro-batch on one replica: (row of figures, whether applied)."""
        if feed not in self._wholes:
            self._wholes[feed] = TracedOnce(functools.partial(self.whole_in_graph, feed))
        return self._wholes[feed](held, place, scalars, micro_batches)

    def whole_in_graph(
        self, feed: Feed, held: Any, place: Place, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`whole`, not compiled."""
        means = self.passes.of_one(feed, held, place, scalars)
        return self.apply_means(means, scalars, micro_batches)

    def weights(self) -> Tree:
        """The trainable variables' present values."""
        return [tf.identity(v.value) for v in self._trainable]

    def scalars_now(self, epoch: tf.Tensor) -> StepScalars:
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

    def end_step(
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
        row, accepted = self.apply_means(self.passes.means(scalars, stop_votes), scalars, micro_batches)
        self.passes.clear()
        return row, accepted

    def finish_asking(
        self,
        scalars: StepScalars,
        micro_batches: tf.Tensor,
        stop_votes: tf.Tensor,
        objective: Objective,
        known: Known | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, Known | None]:
        """`finish` of a method that asks the objective; from Python.

        Args:
            scalars: The step.
            micro_batches: K, how many the step had.
            stop_votes: See `FullPass.means`.
            objective: Of the step's update batch.
            known: What is known at the weights, so that the step need not make its pass; None where it has made it.

        Returns:
            The row, whether the step was applied, and what is known at the weights that it led to; None if nothing.

        Raises:
            RunInterruptedError: A stop was asked for while the method asked; nothing is applied.
            NoStepError: The method found no step; nothing is applied.
        """
        if known is None:
            at, sampled, figures, accepted = self._end_pass(scalars, stop_votes)
        else:
            at, sampled, figures, accepted = self._look_at(known.means, scalars)
        own = self._settings.gradient_evaluations if known is None else 0
        if not bool(accepted):
            return self._row(figures, micro_batches, _NOTHING_APPLIED, own), accepted, None
        before = self._read() if known is None else known.weights
        # Statistics after the weights: the method may find no step, and a network that assigns weights is refused where
        # it asks.
        made = self.descent.step(at, objective)
        spent = trees.scalar(made.evaluations, tf.float64)
        row, after = self._end(before, sampled, figures, micro_batches, spent, tf.constant(own))
        return row, accepted, None if made.means is None else Known(after, made.means)

    def _ended_pass(self, scalars: StepScalars, stop_votes: tf.Tensor) -> tuple:
        looked_at = self._transformed(self.passes.means(scalars, stop_votes), scalars)
        self.passes.clear()
        return looked_at

    def apply_means(
        self, means: PassMeans, scalars: StepScalars, micro_batches: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(row of figures, whether applied) of a step whose pass gave these means."""
        at, sampled, figures, accepted = self._transformed(means, scalars)

        def apply() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            before = self.weights()
            # Before the optimizer: a network may have assigned trainable weights when it was called.
            self._update_state(sampled, micro_batches)
            made = self.descent.step(at, None)
            return self._moved_from(before, trees.scalar(made.evaluations, tf.float64))

        nothing = [tf.constant(number, tf.float64) for number in _NOTHING_APPLIED]
        applied = tf.cond(accepted, apply, lambda: tuple(nothing))
        return self._row(figures, micro_batches, applied, self._settings.gradient_evaluations), accepted

    def _transformed(
        self, means: PassMeans, scalars: StepScalars
    ) -> tuple[At, SampleMeans, dict[str, tf.Tensor], tf.Tensor]:
        """(where the step stands, the samples' means, figures, whether the step may be made)."""
        start = StepStart(self.weights(), scalars.step, scalars.learning_rate)
        before = {"gradient_norm": trees.global_norm(means.weighted.gradient), "clipped": tf.constant(False)}
        gradient, measured = apply_all(self._transforms, means.weighted.gradient, start)
        gradient = [tf.cast(g, v.dtype) for g, v in zip(gradient, self._trainable, strict=True)]
        figures = self._figures(means, scalars) | before | measured
        own = means.weighted.unpenalised
        figures["unpenalised_gradient_norm"] = trees.global_norm(own) if own else figures["gradient_norm"]
        finite = [tf.math.is_finite(figures[name]) for name in WATCHED]
        accepted = tf.reduce_all(tf.stack(finite)) & (means.stop_votes == 0)
        at = At(means.weighted.loss, figures["penalised_objective"], gradient)
        return at, means.sampled, figures, accepted

    def _row(
        self,
        figures: dict[str, tf.Tensor],
        micro_batches: tf.Tensor,
        applied: Sequence[tf.Tensor | float],
        own_evaluations: tf.Tensor | int,
    ) -> tf.Tensor:
        """All figures, `applied` being those of `_moved_from`, beside the evaluations of the step's own passes."""
        figures = figures | {"micro_batches": micro_batches}
        figures["parameter_norm"], figures["update_norm"], evaluations = applied
        figures["gradient_evaluations"] = evaluations + tf.cast(own_evaluations, tf.float64)
        return tf.stack([tf.cast(figures[name], tf.float64) for name in FIGURES])

    def _figures(self, means: PassMeans, scalars: StepScalars) -> dict[str, tf.Tensor]:
        """What a pass measured."""
        weighted: GradientMeans = means.weighted
        sampled: SampleMeans = means.sampled
        penalty = penalties.penalty_value(scalars, weighted.squared_norm, self.passes.whole_gradient)
        sums = [tf.reduce_sum(m) for m in sampled.measurements]
        return {
            "loss": weighted.loss,
            "cross_entropy": weighted.cross_entropy,
            "accuracy": sampled.accuracy,
            "penalty": penalty,
            "penalised_objective": tf.cast(weighted.loss, penalty.dtype) + penalty,
            "mean_squared_micro_batch_gradient_norm": weighted.squared_norm,
            "learning_rate": scalars.learning_rate,
            "samples": means.samples,
            "state_sum": tf.add_n(sums) if sums else tf.zeros([]),
            "stop_votes": means.stop_votes,
        }

    def _ended(
        self,
        before: Tree,
        sampled: SampleMeans,
        figures: dict[str, tf.Tensor],
        micro_batches: tf.Tensor,
        spent: tf.Tensor,
        own_evaluations: tf.Tensor,
    ) -> tuple[tf.Tensor, Tree]:
        """(row, weights) of a step whose weights have moved; moves the statistics."""
        self._update_state(sampled, micro_batches)
        moved = self._moved_from(before, spent)
        return self._row(figures, micro_batches, moved, own_evaluations), self.weights()

    def _moved_from(self, before: Tree, spent: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(parameter norm, update norm, evaluations spent), float64 scalars."""
        after = self.weights()
        norms = trees.global_norm(after), trees.global_norm(trees.subtract(after, before))
        norm, update_norm = (tf.cast(n, tf.float64) for n in norms)
        return norm, update_norm, spent

    def _are_at(self, weights: Tree) -> tf.Tensor:
        """Whether the weights are these, to the last bit."""
        same = [tf.reduce_all(a == b) for a, b in zip(weights, self.weights(), strict=True)]
        return tf.reduce_all(tf.stack(same))

    def _update_state(self, sampled: SampleMeans, micro_batches: tf.Tensor) -> None:
        new = self._state.updated_values(sampled.measurements, micro_batches)
        for variable, value in zip(self._state.updated_variables, new, strict=True):
            variable.assign(value)
