"""Hashes of objects: the same for the same thing made again, another for whatever makes it another."""

import functools
import unittest
from typing import Any

import keras
import numpy as np

from tf_fullbatch.run.fingerprint import fingerprint

SCALE = 1.0


def scaled(x: Any) -> Any:
    return SCALE * x


class Scaled(keras.layers.Layer):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return self.factor * x

    def get_config(self) -> dict:
        return {**super().get_config(), "factor": self.factor}


class Doubled(Scaled):
    def call(self, x: Any) -> Any:
        return 2 * self.factor * x


class Callable:
    def __init__(self, delta: float):
        self.delta = delta

    def __call__(self, targets: Any, outputs: Any) -> Any:
        return self.delta * (targets - outputs)


def made(factor: float) -> Any:
    return lambda x: factor * x


def network(activation: str = "tanh", trainable: bool = True) -> keras.Model:
    layers = [keras.layers.Dense(3, activation), keras.layers.Dense(2, trainable=trainable)]
    return keras.Sequential([keras.Input((4,)), *layers])


class FingerprintTest(unittest.TestCase):
    def test_the_same_thing_made_again(self) -> None:
        for one in (
            lambda: made(2.0),
            lambda: network(),
            lambda: Scaled(1.0),
            lambda: Callable(0.5),
            lambda: {"a": (np.arange(3), np.ones(2))},
            lambda: functools.partial(scaled, np.arange(5000)),
            lambda: keras.losses.Huber(0.5),
            lambda: [keras.losses.MeanSquaredError(), None, scaled],
        ):
            self.assertEqual(fingerprint(one()), fingerprint(one()))

    def test_another(self) -> None:
        large, other = np.arange(5000), np.arange(5000)
        other[2500] += 1
        for one, another in (
            (made(1.0), made(100.0)),
            (lambda x, s=1.0: s * x, lambda x, s=2.0: s * x),
            (Callable(0.5), Callable(0.6)),
            (functools.partial(scaled, large), functools.partial(scaled, other)),
            (Scaled(1.0), Doubled(1.0)),
            (Scaled(1.0), Scaled(2.0)),
            (network(), network("relu")),
            (network(), network(trainable=False)),
            (keras.losses.Huber(0.5), keras.losses.Huber(0.6)),
            ({"a": large}, {"a": other}),
            ({"a": large}, {"b": large}),
            (large, large.astype("float32")),
        ):
            self.assertNotEqual(fingerprint(one), fingerprint(another))

    def test_a_global_that_a_function_names(self) -> None:
        before = fingerprint(scaled)
        global SCALE
        SCALE = 2.0
        try:
            self.assertNotEqual(fingerprint(scaled), before)
        finally:
            SCALE = 1.0
        self.assertEqual(fingerprint(scaled), before)


if __name__ == "__main__":
    unittest.main()
