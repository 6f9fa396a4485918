"""What a searching method keeps from step to step."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.optim.directions.base import Kept, Slot

_MEMORY = 64
"""Most numbers that a search keeps from step to step."""


class Last(NamedTuple):
    """The last step.

    Attributes:
        length: How long it was; 0 before the first.
        slope: The derivative along its direction where it began.
        memory: What the search kept.
    """

    length: float
    slope: float
    memory: tuple[float, ...]


class SearchState:
    """The variables of a searching method.

    Args:
        optimizer: Whose variables they are.
        slots: Name -> what its rule for directions keeps.
        dtype: Of the vectors among them.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, slots: Mapping[str, Slot], dtype: str):
        def add(name: str, dtype: str, shape: tuple[int, ...] = ()) -> keras.Variable:
            return optimizer.add_variable(shape, "zeros", dtype, name=name)

        self._iterations = optimizer.iterations
        self._kept = {name: add(name, slot.dtype or dtype, slot.shape) for name, slot in slots.items()}
        self._memory = add("search_memory", "float64", (_MEMORY,))
        self._remembered = add("remembered", "int64")
        self._length = add("last_length", "float64")
        self._slope = add("last_slope", "float64")
        self._fallbacks = add("fallbacks", "int64")

    def kept(self) -> Kept:
        """What the rule for directions keeps; in graphs, too."""
        return {name: tf.convert_to_tensor(variable.value) for name, variable in self._kept.items()}

    def last(self) -> Last:
        """The last step."""
        memory = self._memory.numpy()[: int(self._remembered.numpy())]
        return Last(float(self._length.numpy()), float(self._slope.numpy()), tuple(memory.tolist()))

    def counts(self) -> dict[str, int]:
        """`fallbacks`: steps along the negative gradient in place of the direction; `skipped_pairs`: of L-BFGS, changes
        of the gradient that were left out for their curvature.
        """
        found = {"fallbacks": int(self._fallbacks.numpy())}
        if "skipped" in self._kept:
            found["skipped_pairs"] = int(self._kept["skipped"].numpy())
        return found

    def count(self) -> None:
        """Counts a step; in graphs, too."""
        self._iterations.assign(self._iterations + 1)

    def keep(self, kept: Kept, last: tf.Tensor, remembered: tf.Tensor, fell_back: tf.Tensor) -> None:
        """Keeps what is known after a step, and counts it; in a graph.

        Args:
            kept: For the rule for directions.
            last: As `packed` makes it.
            remembered: int64 scalar, how many numbers of the search's memory count.
            fell_back: Whether the step was along the negative gradient in place of the direction.
        """
        for name, variable in self._kept.items():
            variable.assign(kept[name])
        self._length.assign(last[0])
        self._slope.assign(last[1])
        self._memory.assign(last[2:])
        self._remembered.assign(remembered)
        self._fallbacks.assign(self._fallbacks + tf.cast(fell_back, tf.int64))
        self.count()


def packed(length: float, slope: float, memory: Sequence[float]) -> tf.Tensor:
    """float64 `[2 + most]`: the last step as one vector."""
    numbers = np.zeros(2 + _MEMORY)
    numbers[: 2 + len(memory)] = [length, slope, *memory]
    return tf.constant(numbers)
