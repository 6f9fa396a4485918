"""A case of the conformance table: a small network around one stock layer, its data and what is expected of it."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import keras
import numpy as np

SAMPLES, MICRO_BATCH, OUTPUTS = 5, 3, 2  # two micro-batches, the last one ragged
PENALTIES = ("none", "nested_tape", "forward_over_reverse", "forward_differences", "central_differences")
EXACT, DIFFERENCES = PENALTIES[1:3], PENALTIES[3:]
DTYPES = ("float64", "float32", "mixed_bfloat16")

Build = Callable[[], keras.Model]
Data = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table.

    Attributes:
        name: The row's name: the layer's, and in brackets what is special about it.
        build: Makes the network, under the present dtype policy.
        data: Draws the inputs `[SAMPLES, ...]`; float inputs are cast to the policy's type.
        refused: Penalty -> why it must be refused (a key of `table.REASONS`); all others must be right.
        refused_in: Dtype policy -> why it must be refused there with every penalty.
        impossible: Dtype policies in which TensorFlow itself cannot run the layer on a CPU.
        by_hand: A network of the same weights in the same order that computes the same, for the reference alone;
            where the layer's own second derivative by tapes is known not to be the mathematical one.
        assigns_weights: The layer assigns trainable weights when called; `by_hand` then has to be a network without
            that, whose gradient is taken at the assigned weights, as in stock Keras.
        noisy: The layer draws random numbers.
        tolerances: Dtype policy -> tolerance, where a layer computes in less than its policy says.
    """

    name: str
    build: Build
    data: Data
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_in: Mapping[str, str] = field(default_factory=dict)
    impossible: tuple[str, ...] = ()
    by_hand: Build | None = None
    assigns_weights: bool = False
    noisy: bool = False
    tolerances: Mapping[str, float] = field(default_factory=dict)

    def reason(self, penalty: str, policy: str) -> str | None:
        """Why a cell must be refused, a key of `table.REASONS`; None where it need not be."""
        return self.refused_in.get(policy) or self.refused.get(penalty)

    def inputs(self) -> np.ndarray:
        """The inputs, the same at each call."""
        return self.data(self._generator())

    def targets(self, shape: tuple[int, ...]) -> np.ndarray:
        """Targets `shape`, the same at each call."""
        return self._generator().normal(size=shape)

    def weights(self, network: keras.Model) -> list[np.ndarray]:
        """Initial trainable weights, moved off their special values; exact in float32 and in float64."""
        generator = self._generator()
        values = [
            np.asarray(v) + generator.normal(scale=0.3, size=v.shape) for v in network.trainable_variables
        ]
        return [value.astype("float32") for value in values]

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(self.name.encode()))


def normal(*shape: int) -> Data:
    """Standard normal inputs `[SAMPLES, *shape]`, exact in float32."""
    return lambda generator: generator.normal(size=(SAMPLES, *shape)).astype("float32")


def integers(high: int, *shape: int) -> Data:
    """Integers 0 to high - 1, `[SAMPLES, *shape]`."""
    return lambda generator: generator.integers(0, high, size=(SAMPLES, *shape)).astype("int32")


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Within it, networks are built under a dtype policy; under float64 everything is float64."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64" if policy == "float64" else "float32")
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])
