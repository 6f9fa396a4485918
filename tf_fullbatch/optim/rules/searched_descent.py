"""Steps along a direction, for a length that a search finds."""

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.stability import Stability
from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import NoStepError, SearchFailedError
from tf_fullbatch.optim.descent import Accepted, At
from tf_fullbatch.optim.directions.base import Direction, Kept, dot
from tf_fullbatch.optim.keras_adapter import OptimizerState
from tf_fullbatch.optim.rules.along import Along, Decay
from tf_fullbatch.optim.rules.search_state import Last, SearchState, packed
from tf_fullbatch.optim.searches.line import Found, Search, Start, Trial


class Searching(Protocol):
    """What is asked of the optimizer that has the state, a `search_optimizer.SearchOptimizer`.

    Attributes:
        name: Its name.
        direction_rule: The rule for directions.
        search_rule: The rule for lengths; None for the learning rate.
        growth: See `search_optimizer.SearchOptimizer`.
        state: What is kept from step to step; once it is built.
        converged: Whether the last step stayed where it was.
    """

    name: str
    direction_rule: Direction
    search_rule: Search | None
    growth: float
    state: SearchState
    converged: bool


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
    """The steps of a `search_optimizer.SearchOptimizer`, as a `descent.Descent`.

    Args:
        optimizer: Built.
        trainable: The variables that it was built for.
        decay: Coefficient of the decay of each.
    """

    asks_objective: ClassVar[bool] = True

    def __init__(self, optimizer: Searching, trainable: Sequence[keras.Variable], decay: Sequence[float]):
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
        fell_back = made is None
        if made is None:
            kept, direction = mine.direction_rule.forgotten(kept), -gradient
            made = self._searched(
                along, value, direction, float(dot(direction, gradient)), gradient, kept, anew=True
            )
        if made is None and self._shows_nothing(theta, value, slope, gradient, at.objective.dtype):
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
        last = self._mine.state.last()
        first = self.first_length(slope, gradient, last, anew=anew)
        length = math.nan if anew or self._mine.direction_rule.natural else last.length or math.nan
        found = search.search(along.line(direction), Start(value, slope, first, last.memory, length))
        return None if found is None else SearchStep(direction, slope, found, kept)

    def _shows_nothing(
        self, theta: Tree, value: float, slope: float, gradient: tf.Tensor, dtype: tf.DType
    ) -> bool:
        """Whether the decrease that is left is one that the loss's type cannot show, or its step one that the weights
        cannot.

        A direction with a natural length, where it descends, promises its slope, which is the square of Newton's
        decrement; else the negative gradient promises what it does at the length of the last step, or at its first one
        where there is none. A loss that comes to 0 keeps all its digits, and promises something to the last; the
        weights do not.
        """
        norm, careful = float(tf.norm(gradient)), _careful(gradient)
        promised = (self._mine.state.last().length or careful) * norm**2
        if self._mine.direction_rule.natural and slope < 0:
            promised = -slope
        nothing = promised <= _precision(dtype) * abs(value)
        return nothing or careful * norm <= _precision(dtype) * float(trees.global_norm(theta))

    def _stay(self, spent: float) -> Accepted:
        """A step of length 0: the method has converged."""
        self._mine.converged = True
        self._mine.state.count()
        return Accepted(spent)

    def first_length(self, slope: float, gradient: tf.Tensor, last: Last, *, anew: bool) -> float:
        """The length to try first, positive.

        Anew it is 1, or that of a step of length 1 where that is less, whatever the rate; so too where the rate is 0.
        """
        if anew:
            return _careful(gradient)
        if self._mine.direction_rule.natural:
            return 1.0
        if last.length and last.slope:
            return self._mine.growth * last.length * last.slope / slope
        return float(self.learning_rate) or _careful(gradient)

    def _accept(
        self, made: SearchStep, new: Tree, gradient: tf.Tensor, value: float, *, fell_back: bool
    ) -> None:
        mine, memory, length = self._mine, made.found.memory, made.found.trial.length
        numbers = tf.constant([length, value], tf.float64)
        last, remembered = packed(length, made.slope, memory), tf.constant(len(memory), tf.int64)
        step = (made.kept, new, gradient, made.direction, numbers)
        if not bool(self._kept(step, last, remembered, tf.constant(fell_back))):
            raise NoStepError(
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


def _careful(gradient: tf.Tensor) -> float:
    """A length along the negative gradient: 1, or less, so that the step is no longer than 1."""
    return 1 / max(1.0, float(tf.norm(gradient)))


def _precision(dtype: tf.DType) -> float:
    """As a share of a number, what its rounding may hide."""
    return 8 * float(np.finfo(dtype.as_numpy_dtype).eps)
