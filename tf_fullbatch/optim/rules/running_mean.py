"""What methods have in common that go along a running mean of gradients, or the gradient itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.rules.update_rule import Moved, Now, UpdateRule, refuse_outside


class AlongTheMean(UpdateRule):
    """Goes along `direction(m)`, `m = momentum * m + (1 - momentum) * g` and m = g at momentum 0, with decoupled decay.

    Args:
        learning_rate: See `UpdateRule`.
        momentum: In [0, 1); 0 keeps nothing.
        weight_decay: Of the decoupled decay.
        name: Name of the optimizer.
        **unsupported: See `UpdateRule`.
    """

    arguments: ClassVar[tuple[str, ...]] = ("momentum",)
    mean_of_gradients: ClassVar[str | None] = "momentum"

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        name: str | None = None,
        **unsupported: Any,
    ) -> None:
        refuse_outside("momentum", momentum, 0, 1)
        super().__init__(learning_rate, weight_decay, name, **unsupported)
        self.momentum = momentum

    def keeps(self) -> Mapping[str, float]:
        """See `UpdateRule`."""
        return {"momentum": 0.0} if self.momentum else {}

    def direction(self, mean: Tree) -> Tree:
        """Against what the weights move.

        Args:
            mean: Tree, the running mean.
        """
        raise NotImplementedError

    def moved(self, now: Now) -> Moved:
        """See `UpdateRule`."""
        mean = now.running_mean("momentum", self.momentum)
        return Moved(now.change(self.direction(mean)), {"momentum": mean} if self.momentum else {})
