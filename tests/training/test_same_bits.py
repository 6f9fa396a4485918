"""Where samples are and how a pass is cut are matters of speed alone: training gives the same bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.networks import softplus_network
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent

PLACES = [
    (on_device, chunk_micro_batches) for on_device in (True, False) for chunk_micro_batches in (1, 2, 3, None)
]
SOME = [(True, None), (True, 2), (False, 2)]
REGIMES = {
    "SGD": {"batch_size": 4, "micro_batch_size": 4},
    "SGD in micro-batches": {"batch_size": 9, "micro_batch_size": 2},
    "full batch": {"batch_size": None, "micro_batch_size": 4},
}
EQUAL = {"SGD": 4, "SGD in micro-batches": 2, "full batch": 4}
"""Micro-batches of equal sizes, whose shapes are known when a pass is compiled: of 20 samples, steps of 4 in two."""


class SameBits(tf.test.TestCase, parameterized.TestCase):
    """What is trained, and compared."""

    def trained(
        self,
        on_device: bool,
        chunk: int | None,
        regime: str,
        shuffle: bool,
        equal: bool = False,
        **settings: object,
    ) -> list[bytes]:
        """Every weight, statistic and momentum after a few epochs, and the history."""
        sizes = dict(REGIMES[regime])
        samples = len(X)
        if equal:
            samples, sizes = 20, sizes | {"micro_batch_size": EQUAL[regime]}
            if sizes["batch_size"] is not None:
                sizes["batch_size"] = 4
        network = softplus_network(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        optimizer = GradientDescent(0.1, momentum=0.9)
        model = model_of(
            network, optimizer, micro_batch_size=sizes["micro_batch_size"], clip_norm=0.5, **settings
        )
        micro_batch_size = sizes.pop("micro_batch_size")
        data = UpdateBatches(
            X[:samples],
            Y[:samples],
            shuffle=shuffle,
            seed=3,
            chunk_micro_batches=chunk,
            on_device=on_device,
            **sizes,
        )
        history = model.fit(data, epochs=3, verbose=0).history
        per_epoch = data.steps_per_epoch
        self.assertEqual(data.plan(micro_batch_size).equal_micro_batches is not None, equal)
        self.assertEqual(model.steps_completed, 3 * per_epoch)
        variables = [*network.variables, *model.optimizer.variables]
        return [v.numpy().tobytes() for v in variables] + [np.array(h).tobytes() for h in history.values()]

    def assert_same(self, places: list[tuple[bool, int | None]], **settings: object) -> None:
        first, *others = places
        expected = self.trained(*first, **settings)
        for place in others:
            with self.subTest(on_device=place[0], chunk_micro_batches=place[1]):
                self.assertEqual(self.trained(*place, **settings), expected)

    def assert_same_with(self, penalty: str) -> None:
        self.assert_same(
            SOME,
            regime="SGD in micro-batches",
            shuffle=True,
            penalty=penalty,
            penalty_strength=0.5,
            full_gradient_penalty_strength=0.3,
            additive_noise=0.01,
            multiplicative_noise=0.2,
        )


class SameBitsTest(SameBits):
    @parameterized.parameters(
        ("SGD", True, SOME),
        ("SGD in micro-batches", False, PLACES),
        ("full batch", True, PLACES),
    )
    def test_streamed_and_resident_in_any_chunks(self, regime: str, shuffle: bool, places: list) -> None:
        self.assert_same(places, regime=regime, shuffle=shuffle)

    def test_with_penalties_on_micro_batches_and_on_the_whole_gradient(self) -> None:
        self.assert_same_with("nested_tape")

    def test_several_inputs_and_outputs_with_weights(self) -> None:
        generator = np.random.default_rng(2)
        inputs = {"a": X, "b": generator.normal(size=(len(X), 2))}
        targets, weights = (Y, generator.normal(size=(len(X), 1))), generator.uniform(0.2, 2, len(X))

        def trained(on_device: bool, chunk: int | None) -> list[bytes]:
            keras.utils.set_random_seed(0)
            parts = {name: keras.Input(x.shape[1:], name=name) for name, x in inputs.items()}
            hidden = keras.layers.Concatenate()([parts["a"], parts["b"]])
            network = keras.Model(parts, [keras.layers.Dense(3)(hidden), keras.layers.Dense(1)(hidden)])
            loss = [keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"]
            model = model_of(network, GradientDescent(0.1), loss=loss, micro_batch_size=4)
            data = UpdateBatches(
                inputs,
                targets,
                weights,
                batch_size=9,
                shuffle=True,
                chunk_micro_batches=chunk,
                on_device=on_device,
            )
            model.fit(data, epochs=2, verbose=0)
            return [v.numpy().tobytes() for v in network.variables]

        expected = trained(*SOME[0])
        for place in SOME[1:]:
            self.assertEqual(trained(*place), expected)

    def test_the_regimes_train_and_differ(self) -> None:
        # Otherwise equality would mean little.
        found = [
            self.trained(True, None, regime=regime, shuffle=shuffle)[0]
            for regime in REGIMES
            for shuffle in (True, False)
        ]
        untrained = softplus_network().variables[0].numpy().tobytes()
        # In a full batch the order matters to BatchNorm.
        self.assertLen({untrained, *found}, 1 + len(found))


@pytest.mark.slow
class OtherRegimesTest(SameBits):
    @parameterized.parameters(
        ("SGD", False, SOME),
        ("SGD in micro-batches", True, SOME),
        ("full batch", False, SOME),
    )
    def test_streamed_and_resident_in_any_chunks(self, regime: str, shuffle: bool, places: list) -> None:
        self.assert_same(places, regime=regime, shuffle=shuffle)

    @parameterized.product(regime=list(REGIMES), shuffle=[True, False])
    def test_with_micro_batches_of_equal_sizes(self, regime: str, shuffle: bool) -> None:
        self.assert_same(SOME, regime=regime, shuffle=shuffle, equal=True)


@pytest.mark.slow
class OtherPenaltiesTest(SameBits):
    def test_forward_differences(self) -> None:
        self.assert_same_with("forward_differences")


if __name__ == "__main__":
    tf.test.main()
