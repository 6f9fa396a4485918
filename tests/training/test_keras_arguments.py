"""What `fit` and `evaluate` take, against stock Keras with the whole set as one batch."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.training.full_batch_model import FullBatchModel

SAMPLES = 22
GENERATOR = np.random.default_rng(5)
A = GENERATOR.normal(size=(SAMPLES, 3)).astype("float32")
B = GENERATOR.normal(size=(SAMPLES, 2)).astype("float32")
CLASSES = GENERATOR.integers(0, 3, SAMPLES)
NUMBERS = GENERATOR.normal(size=(SAMPLES, 1)).astype("float32")
WEIGHTS = GENERATOR.uniform(0.2, 2.0, SAMPLES).astype("float32")
BOTH = {"a": A, "b": B}
TARGETS = {"classes": CLASSES, "number": NUMBERS}
STEPS = GENERATOR.integers(1, 5, (SAMPLES, 4)) * (np.arange(4) < GENERATOR.integers(1, 5, (SAMPLES, 1)))


def entropy(**settings: Any) -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **settings)


LOSSES = {"classes": entropy(), "number": "mse"}


class Own(keras.Model):
    """Two inputs by name, two outputs by name, and a `call` without `training`."""

    def __init__(self, as_list: bool) -> None:
        super().__init__()
        self.as_list = as_list
        self.hidden = keras.layers.Dense(4, activation="softplus")
        self.classes = keras.layers.Dense(3)
        self.number = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        hidden = self.hidden(tf.concat([inputs["a"], inputs["b"]], -1))
        outputs = {"classes": self.classes(hidden), "number": self.number(hidden)}
        return list(outputs.values()) if self.as_list else outputs


def network(kind: str) -> keras.Model:
    """The same weights each time."""
    keras.utils.set_random_seed(0)
    if kind.startswith("own"):
        return Own(as_list=kind == "own list")
    if kind.startswith("masked"):
        tokens = keras.Input((4,), dtype="int32")
        hidden = keras.layers.Embedding(5, 4, mask_zero=True)(tokens)
        heads = [keras.layers.Dense(units, name=f"of_{units}")(hidden) for units in (3, 2)]
        return keras.Model(tokens, heads if kind == "masked twice" else heads[0])
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    hidden = keras.layers.Dense(4, activation="softplus")
    classes, number = keras.layers.Dense(3, name="classes"), keras.layers.Dense(1, name="number")
    if kind == "one":
        return keras.Model(a, classes(hidden(a)))
    joined = hidden(keras.layers.Concatenate()([a, b]))
    if kind == "two inputs":
        return keras.Model([a, b], classes(joined))
    if kind == "two outputs":
        return keras.Model([a, b], [classes(joined), number(joined)])
    return keras.Model({"a": a, "b": b}, {"classes": classes(joined), "number": number(joined)})


CASES: dict[str, tuple[str, dict, tuple, dict]] = {
    "one input": ("one", {"loss": entropy(), "metrics": ["accuracy"]}, (A, CLASSES), {}),
    "a loss by its name": ("one", {"loss": "crossentropy"}, (np.abs(A), CLASSES), {}),
    "sample_weight": (
        "one",
        {"loss": entropy(), "metrics": ["accuracy"], "weighted_metrics": ["accuracy"]},
        (A, CLASSES),
        {"sample_weight": WEIGHTS},
    ),
    "sample_weight of one column": (
        "one",
        {"loss": entropy()},
        (A, CLASSES),
        {"sample_weight": WEIGHTS[:, None]},
    ),
    "mean_with_sample_weight": (
        "one",
        {"loss": entropy(reduction="mean_with_sample_weight")},
        (A, CLASSES),
        {"sample_weight": WEIGHTS},
    ),
    "class_weight": ("one", {"loss": entropy()}, (A, CLASSES), {"class_weight": {0: 2.0, 2: 0.5}}),
    "class_weight of a column": (
        "one",
        {"loss": entropy()},
        (A, CLASSES[:, None]),
        {"class_weight": {0: 2.0}},
    ),
    "class_weight of one-hot targets": (
        "one",
        {"loss": keras.losses.CategoricalCrossentropy(from_logits=True)},
        (A, np.eye(3)[CLASSES]),
        {"class_weight": {0: 2.0, 1: 0.5}},
    ),
    "loss_weights of one output": ("one", {"loss": entropy(), "loss_weights": 0.3}, (A, CLASSES), {}),
    "steps_per_execution": ("one", {"loss": entropy(), "steps_per_execution": 2}, (A, CLASSES), {}),
    "validation_split": (
        "one",
        {"loss": entropy(), "metrics": ["accuracy"]},
        (A, CLASSES),
        {"validation_split": 0.3, "sample_weight": WEIGHTS},
    ),
    "validation_data with weights": (
        "one",
        {"loss": entropy(), "weighted_metrics": ["accuracy"]},
        (A, CLASSES),
        {"validation_data": (A[:9], CLASSES[:9], WEIGHTS[:9])},
    ),
    "masked places": ("masked", {"loss": entropy()}, (STEPS, STEPS % 3), {}),
    "masked places with weights": (
        "masked",
        {"loss": entropy()},
        (STEPS, STEPS % 3),
        {"sample_weight": np.outer(WEIGHTS, [1.0, 2.0, 3.0, 4.0])},
    ),
    "masked places, mean_with_sample_weight": (
        "masked",
        {"loss": entropy(reduction="mean_with_sample_weight")},
        (STEPS, STEPS % 3),
        {"sample_weight": np.outer(WEIGHTS, [1.0, 2.0, 3.0, 4.0])},
    ),
    "two outputs of one mask": (
        "masked twice",
        {"loss": [entropy(), "mse"]},
        (STEPS, [STEPS % 3, GENERATOR.normal(size=(SAMPLES, 4, 2))]),
        {},
    ),
    "a list of inputs": ("two inputs", {"loss": entropy()}, ([A, B], CLASSES), {}),
    "inputs by name": ("two inputs", {"loss": entropy()}, (BOTH, CLASSES), {}),
    "several inputs validated": (
        "two inputs",
        {"loss": entropy()},
        ((A, B), CLASSES),
        {"validation_data": ([A[:9], B[:9]], CLASSES[:9])},
    ),
    "a list of outputs": (
        "two outputs",
        {
            "loss": [entropy(), "mse"],
            "loss_weights": [1.0, 0.3],
            "metrics": [["accuracy"], ["mae"]],
        },
        ([A, B], [CLASSES, NUMBERS]),
        {"validation_split": 0.3},
    ),
    "a list of outputs, all by name": (
        "two outputs",
        {"loss": LOSSES, "loss_weights": {"classes": 0.5, "number": 2.0}},
        (BOTH, TARGETS),
        {},
    ),
    "weights of each output": (
        "two outputs",
        {"loss": [entropy(), "mse"]},
        ([A, B], [CLASSES, NUMBERS]),
        {"sample_weight": [WEIGHTS, WEIGHTS[::-1].copy()]},
    ),
    "one weight of all outputs": (
        "two outputs",
        {"loss": [entropy(), "mse"]},
        ([A, B], [CLASSES, NUMBERS]),
        {"sample_weight": WEIGHTS},
    ),
    "outputs by name": ("named", {"loss": LOSSES, "metrics": {"number": ["mae"]}}, (BOTH, TARGETS), {}),
    "outputs by name, listed otherwise": (
        "named",
        {"loss": {"number": "mse", "classes": entropy()}, "metrics": {"classes": ["accuracy"]}},
        (BOTH, TARGETS),
        {},
    ),
    "a network of the user's own that returns a list": (
        "own list",
        {"loss": [entropy(), "mse"]},
        (BOTH, [CLASSES, NUMBERS]),
        {},
    ),
    "a network of the user's own": ("own", {"loss": LOSSES}, (BOTH, TARGETS), {}),
}
"""Name -> network, arguments of `compile`, (x, y), arguments of `fit`."""


CORE = (
    "sample_weight",
    "mean_with_sample_weight",
    "class_weight",
    "validation_split",
    "masked places with weights",
    "inputs by name",
    "a list of outputs",
    "weights of each output",
    "a network of the user's own",
)


class AgainstKeras(tf.test.TestCase, parameterized.TestCase):
    """What a case is put through."""

    def stock(self, case: str) -> tuple[keras.Model, dict[str, list[float]]]:
        kind, compiled, data, arguments = CASES[case]
        stock = network(kind)
        eager = {} if "steps_per_execution" in compiled else {"run_eagerly": True}
        stock.compile(keras.optimizers.SGD(0.3, momentum=0.9), **eager, **compiled)
        fitted = stock.fit(*data, batch_size=SAMPLES, epochs=2, shuffle=False, verbose=0, **arguments)
        return stock, fitted.history

    def ours(self, case: str) -> FullBatchModel:
        kind, compiled, _, _ = CASES[case]
        model = FullBatchModel(network(kind), micro_batch_size=5)
        model.compile(keras.optimizers.SGD(0.3, momentum=0.9), **compiled)
        return model

    def assert_history(self, found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
        for name, values in expected.items():
            self.assertAllClose(found[name], values, rtol=1e-6, atol=1e-6, msg=name)

    def check(self, case: str) -> None:
        """`fit`, its history and weights, and `evaluate`, of one case."""
        stock, expected = self.stock(case)
        model, (_, _, data, arguments) = self.ours(case), CASES[case]
        found = model.fit(*data, batch_size=SAMPLES + 5, epochs=2, verbose=0, **arguments).history
        self.assert_history(found, expected)
        for ours, theirs in zip(model.network.get_weights(), stock.get_weights(), strict=True):
            self.assertAllClose(ours, theirs, rtol=1e-6, atol=1e-6)
        weights = {"sample_weight": arguments["sample_weight"]} if "sample_weight" in arguments else {}
        expected = stock.evaluate(*data, batch_size=SAMPLES, verbose=0, return_dict=True, **weights)
        found = model.evaluate(*data, verbose=0, return_dict=True, **weights)
        self.assert_history(found, expected)
        listed = stock.evaluate(*data, batch_size=SAMPLES, verbose=0, **weights)
        found = model.evaluate(*data, verbose=0, **weights)
        self.assertEqual(isinstance(found, float), isinstance(listed, float))
        self.assertAllClose(found, listed, rtol=1e-6, atol=1e-6)


class CoreTest(AgainstKeras):
    @parameterized.parameters(*CORE)
    def test_fit_and_evaluate(self, case: str) -> None:
        self.check(case)

    @parameterized.parameters("sample_weight", "a list of outputs, all by name")
    def test_train_and_test_on_batch(self, case: str) -> None:
        kind, compiled, data, arguments = CASES[case]
        stock = network(kind)
        stock.compile(keras.optimizers.SGD(0.3, momentum=0.9), run_eagerly=True, **compiled)
        model = self.ours(case)
        expected = stock.test_on_batch(*data, **arguments, return_dict=True)
        self.assert_history(model.test_on_batch(*data, **arguments, return_dict=True), expected)
        for _ in range(2):
            expected = stock.train_on_batch(*data, **arguments, return_dict=True)
            self.assert_history(model.train_on_batch(*data, **arguments, return_dict=True), expected)
        self.assertEqual(model.steps_completed, 2)

    def test_masked_metrics_under_xla(self) -> None:
        found = []
        for jit_compile in ("off", "on"):
            model = FullBatchModel(network("masked"), micro_batch_size=5, jit_compile=jit_compile)
            model.compile(keras.optimizers.SGD(0.3), entropy(), metrics=["accuracy"])
            found.append(model.fit(STEPS, STEPS % 3, epochs=2, verbose=0).history["accuracy"])
        self.assertAllClose(*found, rtol=1e-6)
        self.assertGreater(found[0][1], 0)

    def test_lists_of_numbers(self) -> None:
        model = self.ours("one input")
        model.fit(A.tolist(), CLASSES.tolist(), batch_size=8, verbose=0)
        self.assertEqual(model.steps_completed, 3)

    def test_a_fresh_model_loads_weights(self) -> None:
        trained, fresh = self.ours("one input"), self.ours("one input")
        trained.fit(A, CLASSES, verbose=0)
        path = f"{self.get_temp_dir()}/of.weights.h5"
        trained.save_weights(path)
        fresh.load_weights(path)
        self.assertEqual(fresh.evaluate(A, CLASSES, verbose=0), trained.evaluate(A, CLASSES, verbose=0))


@pytest.mark.slow
class EveryOtherCaseTest(AgainstKeras):
    @parameterized.parameters(*(case for case in CASES if case not in CORE))
    def test_fit_and_evaluate(self, case: str) -> None:
        self.check(case)


def batches(size: int = 7) -> Iterator[tuple]:
    for i in range(0, SAMPLES, size):
        yield (
            {name: part[i : i + size] for name, part in BOTH.items()},
            CLASSES[i : i + size],
            WEIGHTS[i : i + size],
        )


class Sequence(keras.utils.PyDataset):
    """Batches by number."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple:
        return list(batches())[index]


def data_set() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((BOTH, CLASSES, WEIGHTS)).batch(7)


KINDS: dict[str, Callable[[], Any]] = {"generator": batches, "Dataset": data_set, "PyDataset": Sequence}


class BatchesTest(tf.test.TestCase, parameterized.TestCase):
    def model(self) -> FullBatchModel:
        model = FullBatchModel(network("two inputs"), micro_batch_size=5)
        model.compile(keras.optimizers.SGD(0.3), entropy())
        return model

    @parameterized.parameters(*KINDS)
    def test_are_the_samples_that_they_hold(self, kind: str) -> None:
        model = self.model()
        expected = model.fit(
            BOTH, CLASSES, sample_weight=WEIGHTS, verbose=0, validation_data=(BOTH, CLASSES, WEIGHTS)
        )
        other = self.model()
        found = other.fit(KINDS[kind](), verbose=0, validation_data=KINDS[kind]())
        self.assertEqual(found.history, expected.history)
        self.assertEqual(
            other.evaluate(KINDS[kind](), verbose=0),
            model.evaluate(BOTH, CLASSES, sample_weight=WEIGHTS, verbose=0),
        )

    def test_without_end_need_a_number(self) -> None:
        model = self.model()
        with self.assertRaisesRegex(UserError, "without end"):
            model.fit(data_set().repeat(), verbose=0)
        model.fit(data_set().repeat(), steps_per_epoch=4, verbose=0)
        self.assertEqual(model.last_step["samples"], SAMPLES)


if __name__ == "__main__":
    tf.test.main()
