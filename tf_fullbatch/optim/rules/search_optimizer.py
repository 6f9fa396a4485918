"""Methods that go along a direction for a length that a search finds."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.beginning import Beginning
from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import SearchFailedError, UserError
from tf_fullbatch.optim.descent import Accepted, At
from tf_fullbatch.optim.directions.base import Direction, Kept, dot
from tf_fullbatch.optim.keras_adapter import OptimizerState
from tf_fullbatch.optim.rules.along import Along
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.searches.line import Found, Start, Trial
from tf_fullbatch.optim.searches.registry import search_of

_MEMORY = 64
"""Most numbers that a search keeps from step to step."""


class SearchOptimizer(ObjectiveOptimizer):
    """Goes along a direction, for the length that a search accepts or, without one, for the learning rate.

    What is searched along, and whose gradient the direction is made of, is the loss with its exact penalty and
    `weight_decay / 2 |theta|^2`. Where the direction does not descend, or the search finds nothing along it, what was
    learnt is forgotten and the negative gradient is searched along; where nothing is found there either, the run ends
    (`SearchFailedError`), unless what the direction promises is less than the loss's precision can show, or a step by
    the learning rate is less than the weights' can: then the method has converged, and stays where it is.

    Args:
        learning_rate: The length without a search; with one, the length to try first where a direction has no natural
            length. A number, or a schedule of the step.
        direction: The rule for directions.
        line_search: The rule for lengths, a key of `searches.registry.SEARCHES`, or "none".
        line_search_options: Options of it, by name.
        otherwise: Options of it where these are not given.
        weight_decay: Coefficient of the coupled decay.
        growth: Where a direction has no natural length, the length to try first is this times the one that promises
            the decrease of the step before.
        name: Name of the optimizer.

    Attributes:
        converged: Whether it stayed where it is, as said above, in the last step that it made.

    Raises:
        UserError: The decay is negative, or the search is unknown or has not such options.
    """

    def __init__(
        self,
        learning_rate: Any,
        direction: Direction,
        line_search: str,
        line_search_options: Mapping[str, Any] | None,
        *,
        otherwise: Mapping[str, Any] | None = None,
        weight_decay: float = 0.0,
        growth: float = 1.0,
        name: str = "search",
    ) -> None:
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise UserError(f"weight_decay={weight_decay}: it has to be a number and not negative.")
        super().__init__(learning_rate=learning_rate, name=name)
        self.line_search, self.line_search_options = line_search, dict(line_search_options or {})
        self.direction_rule = direction
        self.search_rule = search_of(line_search, **{**(otherwise or {}), **self.line_search_options})
        self.own_weight_decay, self.growth = weight_decay, growth
        self.converged = False

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes what the direction and the search keep."""
        if self.built:
            return
        super().build(variables)
        dtype = trees.widest([tf.convert_to_tensor(v.value) for v in variables]).name
        size = sum(int(np.prod(v.shape)) for v in variables)
        self.kept = {
            name: self.add_variable(slot.shape, "zeros", slot.dtype or dtype, name=name)
            for name, slot in self.direction_rule.keeps(size).items()
        }
        self.search_memory = self.add_variable((_MEMORY,), "zeros", "float64", name="search_memory")
        self.remembered = self.add_variable((), "zeros", "int64", name="remembered")
        self.last_length = self.add_variable((), "zeros", "float64", name="last_length")
        self.last_slope = self.add_variable((), "zeros", "float64", name="last_slope")
        self.fallbacks = self.add_variable((), "zeros", "int64", name="fallbacks")

    def descent(self, trainable: Sequence[keras.Variable]) -> "SearchedDescent":
        """See `ObjectiveOptimizer`."""
        return SearchedDescent(self, trainable, self.decay_of(trainable))

    def decay_of(self, trainable: Sequence[keras.Variable]) -> list[float]:
        """The coefficient of the decay of each variable."""
        return [self.own_weight_decay if keras_internals.is_decayed(self, v) else 0.0 for v in trainable]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments that all have."""
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "weight_decay": self.own_weight_decay,
            "line_search": self.line_search,
            "line_search_options": dict(self.line_search_options),
        }

    @property
    def compares_steps(self) -> bool:
        """Whether gradients or values of different steps are compared, which then have to be of one function."""
        return self.direction_rule.gradients_compared

    def refuse(self, training: Beginning) -> None:
        """See `ObjectiveOptimizer`."""
        spoilt = list(training.beside_the_objective)
        if self.compares_steps:
            spoilt += training.differs_from_step_to_step
        if spoilt:
            raise UserError(
                f"--optimizer={self.name}: it goes down one function, its gradient the gradient of that; leave out "
                f"{', '.join(spoilt)}."
            )


class SearchStep(NamedTuple):
    """A direction and how far to go along it."""

    direction: tf.Tensor
    slope: float
    found: Found
    kept: Kept


class SearchedDescent(OptimizerState):
    """The steps of a `SearchOptimizer`, as a `descent.Descent`.

    Args:
        optimizer: Built.
        trainable: The variables that it was built for.
        decay: Coefficient of the decay of each.
    """

    asks_objective: ClassVar[bool] = True

    def __init__(
        self, optimizer: SearchOptimizer, trainable: Sequence[keras.Variable], decay: Sequence[float]
    ):
        super().__init__(optimizer)
        self._mine = optimizer
        self._trainable = list(trainable)
        self._decay = list(decay)
        self._direct = keras_internals.compiled(optimizer.direction_rule.direction)
        self._accept = keras_internals.compiled(optimizer.direction_rule.accepted)

    @property
    def momentum(self) -> Tree | None:
        """None: a direction is no mean of gradients."""
        return None

    def stability(self, learning_rate: float, clip_factor: float) -> Stability | None:
        """None: no threshold is known."""
        del learning_rate, clip_factor
        return None

    def step(self, at: At, objective: Objective | None) -> Accepted:
        """See `Descent.step`."""
        assert objective is not None
        mine = self._mine
        mine.converged = False
        before = objective.evaluations
        theta = self.point or self.weights()
        gradient = trees.flatten(self.with_decay(at.gradient, theta))
        value = float(at.objective) + self._decay_value(theta)
        along = Along(objective, theta, self._decay_value, self.with_decay)
        kept: Kept = {name: tf.convert_to_tensor(v.value) for name, v in mine.kept.items()}
        direction, kept = self.directed(objective, theta, gradient, kept)
        made = self._searched(along, value, direction, gradient, kept)
        if made is None and self._promises_nothing(value, direction, gradient, at.objective.dtype):
            return self._stay(objective.evaluations - before)
        fell_back = made is None
        if made is None:
            kept = mine.direction_rule.forgotten(kept)
            made = self._searched(along, value, -gradient, gradient, kept, anew=True)
        if made is None and self._moves_nothing(theta, gradient, at.objective.dtype):
            return self._stay(objective.evaluations - before)
        if made is None:
            raise SearchFailedError(
                f"step {int(self.steps_completed) + 1} of {mine.name}: no lower value was found along the direction "
                f"or the negative gradient, of norm {float(tf.norm(gradient)):.3g}; the weights before it are kept."
            )
        length = made.found.trial.length
        new = along.tree(made.direction, length)
        kept = self.kept_after(along, made, new, gradient)
        self._assign(new, kept, made, fell_back)
        return Accepted(objective.evaluations - before, along.means_at(length))

    def directed(
        self, objective: Objective, theta: Tree, gradient: tf.Tensor, kept: Kept
    ) -> tuple[tf.Tensor, Kept]:
        """The direction, and what is kept now.

        Args:
            objective: The step's.
            theta: Tree, the weights.
            gradient: `[parameters]`, of the loss with its penalty and decay.
            kept: What the rule for directions kept.
        """
        del objective, theta
        return self._direct(kept, gradient)

    def kept_after(self, along: Along, made: SearchStep, new: Tree, gradient: tf.Tensor) -> Kept:
        """What is kept after a step.

        Args:
            along: The function that is gone down.
            made: The step.
            new: Tree, the weights that it leads to.
            gradient: `[parameters]`, where it began.
        """
        del along, new
        length = tf.constant(made.found.trial.length, tf.float64)
        return self._accept(made.kept, gradient, made.direction, length)

    def weights(self) -> Tree:
        """The variables' present values."""
        return [tf.convert_to_tensor(v.value) for v in self._trainable]

    def _decay_value(self, theta: Tree) -> float:
        return sum(d / 2 * float(tf.reduce_sum(p * p)) for d, p in zip(self._decay, theta, strict=True) if d)

    def with_decay(self, gradient: Tree, theta: Tree) -> Tree:
        """The gradient and the decay's; of a product with the loss's Hessian, the decay's product."""
        return [
            g + trees.scalar(d, g.dtype) * p if d else g
            for g, d, p in zip(gradient, self._decay, theta, strict=True)
        ]

    def _searched(
        self,
        along: Along,
        value: float,
        direction: tf.Tensor,
        gradient: tf.Tensor,
        kept: Kept,
        *,
        anew: bool = False,
    ) -> SearchStep | None:
        """A step along a direction; None where it does not descend, or the search finds nothing."""
        slope = float(dot(direction, gradient))
        if not slope < 0:
            return None
        search = self._mine.search_rule
        if search is None:
            trial = Trial(float(self.learning_rate), math.nan)
            return SearchStep(direction, slope, Found(trial, satisfied=True), kept)
        count = int(self._mine.remembered.numpy())
        memory = tuple(self._mine.search_memory.numpy()[:count].tolist())
        start = Start(value, slope, self.first_length(slope, gradient, anew=anew), memory)
        found = search.search(along.line(direction), start)
        return None if found is None else SearchStep(direction, slope, found, kept)

    def _promises_nothing(
        self, value: float, direction: tf.Tensor, gradient: tf.Tensor, dtype: tf.DType
    ) -> bool:
        """Whether the decrease to first order is one that values of the loss's type cannot show."""
        slope = -float(dot(direction, gradient))
        promised = slope * self.first_length(-slope, gradient, anew=False) if slope else 0.0
        return 0 <= promised <= _precision(dtype) * abs(value)

    def _moves_nothing(self, theta: Tree, gradient: tf.Tensor, dtype: tf.DType) -> bool:
        """Whether a step along the negative gradient is one that the weights cannot show.

        A loss that comes to 0 keeps all its digits, and promises something to the last; the weights do not.
        """
        step = self.first_length(0.0, gradient, anew=True) * float(tf.norm(gradient))
        return step <= _precision(dtype) * float(trees.global_norm(theta))

    def _stay(self, spent: float) -> Accepted:
        """A step of length 0: the method has converged."""
        self._mine.converged = True
        self._mine.iterations.assign(self._mine.iterations.numpy() + 1)
        return Accepted(spent)

    def first_length(self, slope: float, gradient: tf.Tensor, *, anew: bool) -> float:
        """The length to try first."""
        if self._mine.direction_rule.natural and not anew:
            return 1.0
        length, before = float(self._mine.last_length.numpy()), float(self._mine.last_slope.numpy())
        if before and not anew:
            return self._mine.growth * length * before / slope
        rate = float(self.learning_rate)
        return min(rate, 1 / float(tf.norm(gradient))) if anew else rate

    def _assign(self, new: Tree, kept: Kept, made: SearchStep, fell_back: bool) -> None:
        mine = self._mine
        if not all(bool(tf.reduce_all(tf.math.is_finite(leaf))) for leaf in new):
            raise SearchFailedError(
                f"step {int(self.steps_completed) + 1} of {mine.name} leads to weights that are not finite; those "
                "before it are kept."
            )
        memory = made.found.memory
        for variable, value in zip(self._trainable, new, strict=True):
            variable.assign(value)
        for name, variable in mine.kept.items():
            variable.assign(kept[name])
        mine.search_memory.assign(np.pad(np.array(memory, np.float64), (0, _MEMORY - len(memory))))
        mine.remembered.assign(len(memory))
        mine.last_length.assign(made.found.trial.length)
        mine.last_slope.assign(made.slope)
        mine.fallbacks.assign(mine.fallbacks.numpy() + int(fell_back))
        mine.iterations.assign(mine.iterations.numpy() + 1)


def _precision(dtype: tf.DType) -> float:
    """As a share of a number, what its rounding may hide."""
    return 8 * float(np.finfo(dtype.as_numpy_dtype).eps)
