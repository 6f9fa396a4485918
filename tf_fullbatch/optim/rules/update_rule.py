"""Optimizers that are functions of all weights, their gradient and what is kept, at once."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals, trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.arguments import refuse_keras_arguments


class Now(NamedTuple):
    """What an update is made from.

    Attributes:
        theta: Tree, the weights.
        gradient: Tree in their dtypes.
        kept: Name -> tree, what the rule keeps.
        rate: Scalar, the learning rate.
        step: int64 scalar, updates made so far.
        decay: For each variable the coefficient of its weight decay; 0 where it is excluded.
    """

    theta: Tree
    gradient: Tree
    kept: Mapping[str, Tree]
    rate: tf.Tensor
    step: tf.Tensor
    decay: Sequence[float]

    def only(self, positions: Sequence[int]) -> "Now":
        """The same of some of the variables."""
        some = {name: [tree[i] for i in positions] for name, tree in self.kept.items()}
        of_each = {
            name: [getattr(self, name)[i] for i in positions] for name in ("theta", "gradient", "decay")
        }
        return self._replace(kept=some, **of_each)

    def decayed(self) -> Tree:
        """The gradient and that of `decay / 2 |theta|^2`."""
        return [
            g + trees.scalar(d, g.dtype) * p if d else g
            for g, d, p in zip(self.gradient, self.decay, self.theta, strict=True)
        ]

    def running_mean(self, name: str, factor: float) -> Tree:
        """`factor * m + (1 - factor) * g` of what is kept as `name`; g where nothing is."""
        if name not in self.kept:
            return self.gradient
        return [
            trees.scalar(factor, g.dtype) * m + trees.scalar(1 - factor, g.dtype) * g
            for m, g in zip(self.kept[name], self.gradient, strict=True)
        ]

    def change(self, direction: Tree) -> Tree:
        """`-rate * (direction + decay * theta)`: a step against a direction, with decoupled decay."""
        found = []
        for u, d, p in zip(direction, self.decay, self.theta, strict=True):
            whole = u + trees.scalar(d, p.dtype) * p if d else u
            found.append(-tf.cast(self.rate, p.dtype) * whole)
        return found

    def power(self, base: float) -> tf.Tensor:
        """`base^t`, t the update to be made, counted from 1; float64."""
        return trees.scalar(base, tf.float64) ** tf.cast(self.step + 1, tf.float64)


class Moved(NamedTuple):
    """An update.

    Attributes:
        change: Tree, what is added to the weights.
        kept: Name -> tree, what the rule keeps now; what is not named stays.
    """

    change: Tree
    kept: Mapping[str, Tree] = {}


class UpdateRule(keras.optimizers.Optimizer):
    """An optimizer whose update is a pure function, `moved`, of all variables together.

    As every optimizer of a `FullBatchModel` it updates outside of replicas, once per step; so it may take norms over
    all variables. It trains a stock Keras model too, on one device.

    Args:
        learning_rate: A float, a schedule of the step, or a callable without arguments.
        weight_decay: Coefficient of the decay; the rule says where it acts. Not negative. Variables are taken out of it
            by `exclude_from_weight_decay`.
        name: Name of the optimizer.
        **unsupported: Keras' other optimizer arguments, accepted only as None or False.

    Raises:
        UserError: A value is out of its range.
        ValueError: An argument is given that belongs elsewhere.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    """Names of the constructor's arguments beside `learning_rate`, `weight_decay` and `name`; attributes have them."""
    mean_of_gradients: ClassVar[str | None] = None
    """Under which name the rule keeps a running mean or sum of gradients."""

    def __init__(
        self, learning_rate: Any, weight_decay: float = 0.0, name: str | None = None, **unsupported: Any
    ) -> None:
        refuse_keras_arguments(type(self).__name__, unsupported)
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise UserError(f"weight_decay={weight_decay}: it has to be a number and not negative.")
        # Keras' own `weight_decay` stays None: set, it would shrink the weights a second time.
        super().__init__(learning_rate=learning_rate, name=name)
        self.own_weight_decay = weight_decay
        self.kept: dict[str, list[keras.Variable]] = {}

    def keeps(self) -> Mapping[str, float]:
        """Name -> first value of what is kept for each variable, of its shape and dtype."""
        return {}

    def moved(self, now: Now) -> Moved:
        """The update.

        Args:
            now: What it is made from.
        """
        raise NotImplementedError

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes what is kept for each variable."""
        if self.built:
            return
        super().build(variables)
        for name, value in self.keeps().items():
            initial = keras.initializers.Constant(value)
            self.kept[name] = self.add_optimizer_variables(variables, name, initializer=initial)

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Updates the variables that the optimizer was built for.

        Args:
            grads: A gradient of each.
            trainable_variables: They, in that order; None for them.

        Raises:
            ValueError: There are others, or not as many gradients.
            UserError: It is called within one of several replicas, each of which has but a part of the gradient.
        """
        replica = tf.distribute.get_replica_context()
        if replica is not None and replica.num_replicas_in_sync > 1:
            raise UserError(
                f"{type(self).__name__} updates all variables at once, outside of replicas: train by "
                "FullBatchModel.fit."
            )
        variables = self._variables_of(grads, trainable_variables)
        theta = [tf.convert_to_tensor(v.value) for v in variables]
        now = Now(
            theta=theta,
            gradient=[tf.cast(tf.convert_to_tensor(g), p.dtype) for g, p in zip(grads, theta, strict=True)],
            kept={name: [tf.convert_to_tensor(v.value) for v in of] for name, of in self.kept.items()},
            rate=tf.convert_to_tensor(self.learning_rate),
            step=tf.cast(tf.convert_to_tensor(self.iterations.value), tf.int64),
            decay=[self.own_weight_decay if keras_internals.is_decayed(self, v) else 0.0 for v in variables],
        )
        made = self.moved(now)
        for variable, p, change in zip(variables, theta, made.change, strict=True):
            variable.assign(p + change)
        for name, tree in made.kept.items():
            for variable, value in zip(self.kept[name], tree, strict=True):
                variable.assign(value)
        self.iterations.assign_add(tf.ones([], self.iterations.dtype))

    def _variables_of(
        self, grads: Sequence[Any], given: Sequence[keras.Variable] | None
    ) -> list[keras.Variable]:
        """The variables to update; built for them, where the optimizer was not."""
        if given is not None:
            self.build(given)
        mine = keras_internals.built_for(self)
        if len(grads) != len(mine) or (given is not None and [*map(id, given)] != [*map(id, mine)]):
            raise ValueError(
                f"{type(self).__name__} was built for {len(mine)} variables: give a gradient of each, in their order."
            )
        return mine

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "weight_decay": self.own_weight_decay,
        } | {name: getattr(self, name) for name in self.arguments}


def refuse_outside(name: str, value: float, low: float, high: float) -> None:
    """Refuses an argument that is not in [low, high).

    Raises:
        UserError: It is not.
    """
    if not low <= value < high:
        raise UserError(f"{name}={value}: accepted are numbers from {low:g} to below {high:g}.")
