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
from tf_fullbatch.optim.rules.along import Along, Decay
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.rules.search_state import SearchState, packed
from tf_fullbatch.optim.searches.line import Found, Start, Trial
from tf_fullbatch.optim.searches.registry import search_of


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
        self.state = SearchState(self, self.direction_rule.keeps(size), dtype)

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


class Begun(NamedTuple):
    """Where a step begins.

    Attributes:
        theta: Tree, the weights.
        gradient: `[parameters]`, of the loss with its penalty and decay.
        direction: `[parameters]`.
        kept: What is kept with the direction.
        numbers: float64 `[2]`: that function's value, and its derivative along the direction.
    """

    theta: Tree
    gradient: tf.Tensor
    direction: tf.Tensor
    kept: Kept
    numbers: tf.Tensor


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
        self._decay = Decay(decay)
        self._begun = keras_internals.compiled(self._begin)
        self._kept = keras_internals.compiled(self._keep)

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
        theta, gradient, direction, kept, numbers = self.directed(self._begun(at), objective)
        value, slope = numbers.numpy().tolist()
        along = Along(objective, theta, self._decay)
        made = self._searched(along, value, direction, slope, gradient, kept)
        if made is None and self._promises_nothing(value, slope, gradient, at.objective.dtype):
            return self._stay(objective.evaluations - before)
        fell_back = made is None
        if made is None:
            kept, direction = mine.direction_rule.forgotten(kept), -gradient
            made = self._searched(
                along, value, direction, float(dot(direction, gradient)), gradient, kept, anew=True
            )
        if made is None and self._moves_nothing(theta, gradient, at.objective.dtype):
            return self._stay(objective.evaluations - before)
        if made is None:
            raise SearchFailedError(
                f"step {int(self.steps_completed) + 1} of {mine.name}: no lower value was found along the direction "
                f"or the negative gradient, of norm {float(tf.norm(gradient)):.3g}; the weights before it are kept."
            )
        length = made.found.trial.length
        new, means = along.tree(made.direction, length), along.means_at(made.direction, length)
        self._accept(made, new, gradient, self.value_after(along, made, new), fell_back=fell_back)
        return Accepted(objective.evaluations - before, means)

    def directed(self, begun: Begun, objective: Objective) -> Begun:
        """Where a step begins, with its direction; as it is, but for methods whose direction asks the objective."""
        del objective
        return begun

    def value_after(self, along: Along, made: SearchStep, new: Tree) -> float:
        """The function's value where a step leads to, NaN where it is not known.

        Args:
            along: The function.
            made: The step.
            new: Tree, the weights that it leads to.
        """
        del along, new
        return made.found.trial.value

    def kept_after(
        self, kept: Kept, new: Tree, gradient: tf.Tensor, direction: tf.Tensor, numbers: tf.Tensor
    ) -> Kept:
        """What is kept after a step; in a graph, the weights still being those before it.

        Args:
            kept: What was kept with the direction.
            new: Tree, the weights that it leads to.
            gradient: `[parameters]`, where it began.
            direction: `[parameters]`.
            numbers: float64 `[2]`: its length, and `value_after`.
        """
        del new
        return self._mine.direction_rule.accepted(kept, gradient, direction, numbers[0])

    def weights(self) -> Tree:
        """The variables' present values."""
        return [tf.convert_to_tensor(v.value) for v in self._trainable]

    def with_decay(self, gradient: Tree, theta: Tree) -> Tree:
        """See `along.Decay.added`."""
        return self._decay.added(gradient, theta)

    def _begin(self, at: At) -> Begun:
        theta = self.point or self.weights()
        gradient = trees.flatten(self._decay.added(at.gradient, theta))
        direction, kept = self._mine.direction_rule.direction(self._mine.state.kept(), gradient, theta)
        value = tf.cast(at.objective, tf.float64) + self._decay.value_in_graph(theta)
        numbers = tf.stack([value, tf.cast(dot(direction, gradient), tf.float64)])
        return Begun(theta, gradient, direction, kept, numbers)

    def _searched(
        self,
        along: Along,
        value: float,
        direction: tf.Tensor,
        slope: float,
        gradient: tf.Tensor,
        kept: Kept,
        *,
        anew: bool = False,
    ) -> SearchStep | None:
        """A step along a direction; None where it does not descend, or the search finds nothing."""
        if not slope < 0:
            return None
        search = self._mine.search_rule
        if search is None:
            trial = Trial(float(self.learning_rate), math.nan)
            return SearchStep(direction, slope, Found(trial, satisfied=True), kept)
        first = self.first_length(slope, gradient, anew=anew)
        found = search.search(
            along.line(direction), Start(value, slope, first, self._mine.state.last().memory)
        )
        return None if found is None else SearchStep(direction, slope, found, kept)

    def _promises_nothing(self, value: float, slope: float, gradient: tf.Tensor, dtype: tf.DType) -> bool:
        """Whether the decrease to first order is one that values of the loss's type cannot show."""
        promised = -slope * self.first_length(slope, gradient, anew=False) if slope else 0.0
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
        self._mine.state.count()
        return Accepted(spent)

    def first_length(self, slope: float, gradient: tf.Tensor, *, anew: bool) -> float:
        """The length to try first."""
        if self._mine.direction_rule.natural and not anew:
            return 1.0
        last = self._mine.state.last()
        if last.slope and not anew:
            return self._mine.growth * last.length * last.slope / slope
        rate = float(self.learning_rate)
        return min(rate, 1 / float(tf.norm(gradient))) if anew else rate

    def _accept(
        self, made: SearchStep, new: Tree, gradient: tf.Tensor, value: float, *, fell_back: bool
    ) -> None:
        mine, memory, length = self._mine, made.found.memory, made.found.trial.length
        numbers = tf.constant([length, value], tf.float64)
        last, remembered = packed(length, made.slope, memory), tf.constant(len(memory), tf.int64)
        step = (made.kept, new, gradient, made.direction, numbers)
        if not bool(self._kept(step, last, remembered, tf.constant(fell_back))):
            raise SearchFailedError(
                f"step {int(self.steps_completed) + 1} of {mine.name} leads to weights that are not finite; those "
                "before it are kept."
            )

    def _keep(self, step: tuple, last: tf.Tensor, remembered: tf.Tensor, fell_back: tf.Tensor) -> tf.Tensor:
        """Moves the weights and keeps what is to be kept, where all weights are finite; whether they are."""
        _, new, *_ = step
        kept = self.kept_after(*step)

        def keep() -> tf.Tensor:
            for variable, value in zip(self._trainable, new, strict=True):
                variable.assign(value)
            self._mine.state.keep(kept, last, remembered, fell_back)
            return tf.constant(True)

        finite = tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(leaf)) for leaf in new]))
        return tf.cond(finite, keep, lambda: tf.constant(False))


def growth_of(line_search: str) -> float:
    """How much longer than the step before promises a search begins: backtracking only makes steps shorter."""
    return 2.0 if line_search in ("armijo", "non_monotone") else 1.0


def _precision(dtype: tf.DType) -> float:
    """As a share of a number, what its rounding may hide."""
    return 8 * float(np.finfo(dtype.as_numpy_dtype).eps)
