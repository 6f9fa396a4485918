"""Rules of updates as directions, along which a search finds the length."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tf_fullbatch.core import trees
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.directions.base import Kept, Slot
from tf_fullbatch.optim.rules.search_optimizer import SearchOptimizer, growth_of
from tf_fullbatch.optim.rules.update_rule import Now, UpdateRule


class RuleDirection:
    """What a rule would add to the weights at a rate of 1, see `directions.base.Direction`.

    It need not be a direction of descent, by its running means: where it is none, they are forgotten.

    Args:
        rule: The rule, without a decay.
    """

    natural: ClassVar[bool] = False
    gradients_compared: ClassVar[bool] = False

    def __init__(self, rule: UpdateRule):
        self._rule = rule

    def keeps(self, size: int) -> Mapping[str, Slot]:
        """What the rule keeps, as vectors; how many updates it has made."""
        return {name: Slot((size,)) for name in self._rule.keeps()} | {"updates": Slot((), "int64")}

    def direction(self, kept: Kept, gradient: tf.Tensor, theta: Tree) -> tuple[tf.Tensor, Kept]:
        """See `base.Direction`."""
        updates = kept["updates"]
        trees_kept = {}
        for name, first in self._rule.keeps().items():
            vector = tf.where(
                updates == 0, tf.fill(gradient.shape, trees.scalar(first, gradient.dtype)), kept[name]
            )
            trees_kept[name] = trees.leaves_like(vector, theta)
        made = self._rule.moved(
            Now(
                theta=theta,
                gradient=trees.leaves_like(gradient, theta),
                kept=trees_kept,
                rate=tf.ones([]),
                step=updates,
                decay=[0.0] * len(theta),
            )
        )
        now = {name: trees.flatten(tree) for name, tree in (trees_kept | dict(made.kept)).items()}
        return trees.flatten(made.change), now | {"updates": updates + 1}

    def accepted(self, kept: Kept, gradient: tf.Tensor, direction: tf.Tensor, length: tf.Tensor) -> Kept:
        """See `base.Direction`."""
        del gradient, direction, length
        return kept

    def forgotten(self, kept: Kept) -> Kept:
        """See `base.Direction`."""
        return {name: tf.zeros_like(value) for name, value in kept.items()}


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class SearchedRule(SearchOptimizer):
    """An `UpdateRule` for the length that a search finds (`SearchOptimizer`), in steps of the rule at a rate of 1.

    The weight decay is coupled, part of what is gone down, wherever the rule has its own. LARS, whose rate is within
    its momentum, and LARC, whose rate bounds its ratios, have the rate 1 there. Only `FullBatchModel` trains by it.

    Args:
        rule: The rule, with its arguments; its rate does nothing, and its decay has to be 0.
        learning_rate: The length to try first in the first step.
        line_search: A key of `searches.registry.SEARCHES`.
        line_search_options: Options of it, by name.
        weight_decay: Coefficient of the coupled decay.
        name: Name of the optimizer; None for the rule's.

    Raises:
        UserError: A value is out of its range, or the rule has a decay.
    """

    def __init__(
        self,
        rule: UpdateRule,
        learning_rate: Any = 0.1,
        line_search: str = "armijo",
        line_search_options: dict[str, Any] | None = None,
        weight_decay: float = 0.0,
        name: str | None = None,
    ) -> None:
        if rule.own_weight_decay:
            raise UserError(
                f"{type(rule).__name__} with weight_decay={rule.own_weight_decay}: with a search the decay is part of "
                "what is searched; give it to SearchedRule."
            )
        super().__init__(
            learning_rate,
            RuleDirection(rule),
            line_search,
            line_search_options,
            weight_decay=weight_decay,
            growth=growth_of(line_search),
            name=name or rule.name,
        )
        self.rule = rule

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"rule": keras.saving.serialize_keras_object(self.rule)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SearchedRule":
        """An optimizer of what `get_config` gave."""
        rule = keras.saving.deserialize_keras_object(config["rule"], custom_objects)
        return super().from_config({**config, "rule": rule}, custom_objects)
