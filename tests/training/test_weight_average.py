"""The averages of weights against their recursions, and the swap that must leave no trace."""

import keras
import numpy as np
import tensorflow as tf

from tests.float64 import Float64Case
from tf_fullbatch import FullBatchModel, GradientDescent, UpdateBatches
from tf_fullbatch.training.weight_average import WeightAverage


def build_network(dtype: str = "float64") -> keras.Model:
    """A network with BatchNorm statistics, a seed and a frozen weight."""
    inputs = x = keras.Input((4,), dtype=dtype)
    for layer in (
        keras.layers.Dense(3, dtype=dtype, trainable=False),
        keras.layers.BatchNormalization(dtype=dtype),
        keras.layers.Dropout(0.5, dtype=dtype),
        keras.layers.Dense(2, dtype=dtype),
    ):
        x = layer(x)
    return keras.Model(inputs, x)


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [np.array(v.numpy()) for v in variables]


def disturb(network: keras.Model, generator: np.random.Generator) -> list[np.ndarray]:
    """Gives every weight a new value, as a pass of training does; the values given."""
    for variable in network.weights:
        variable.assign(generator.normal(size=variable.shape))
    return values(network.weights)


def bits(arrays: list[np.ndarray]) -> list[bytes]:
    return [array.tobytes() for array in arrays]


class WeightAverageTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.generator = np.random.default_rng(0)

    def test_equals_the_recursion(self):
        for decay in (0.0, 0.9, 0.99):
            network = build_network()
            ema = WeightAverage(network, decay)
            self.assertLen(ema.averaged, 8)
            expected = None
            for k in range(1, 6):
                theta = disturb(network, self.generator)
                ema.update()
                expected = theta if expected is None else [
                    decay * e + (1 - decay) * t for e, t in zip(expected, theta, strict=True)
                ]  # fmt: skip
                for average, e in zip(ema.averages, expected, strict=True):
                    np.testing.assert_allclose(average.numpy(), e, rtol=1e-14, atol=1e-15)
                self.assertEqual(int(ema.updates.numpy()), k)

    def test_weights_sum_to_one_with_the_documented_weight_on_the_first(self):
        network = build_network()
        ema = WeightAverage(network, 0.99)
        for k in range(101):
            for variable in network.weights:
                variable.assign(np.full(variable.shape, float(k == 0)))
            ema.update()
        self.assertAllClose(ema.averages[0].numpy(), np.full((4, 3), 0.99**100), rtol=1e-12, atol=0)
        constant = WeightAverage(network, 0.99)
        for variable in network.weights:
            variable.assign(np.full(variable.shape, 3.0))
        for _ in range(101):
            constant.update()
        self.assertAllClose(constant.averages[0].numpy(), np.full((4, 3), 3.0), rtol=1e-13, atol=0)

    def test_the_first_update_is_a_copy_and_changes_nothing(self):
        network = build_network("float32")
        for variable in network.weights:
            variable.assign(np.where(self.generator.random(variable.shape) < 0.5, -0.0, 1 / 3))
        before = bits(values(network.weights))
        ema = WeightAverage(network, 0.99)
        ema.update()
        self.assertEqual(bits(values(ema.averages)), before)
        self.assertEqual(bits(values(network.weights)), before)

    def test_statistics_are_averaged_and_seeds_are_not(self):
        network = build_network()
        ema = WeightAverage(network, 0.9)
        averaged = {variable.path.split("/")[-1] for variable in ema.averaged}
        self.assertContainsSubset({"moving_mean", "moving_variance", "kernel", "gamma"}, averaged)
        self.assertFalse([v for v in ema.averaged if "seed" in v.path])
        for variable, average in zip(ema.averaged, ema.averages, strict=True):
            self.assertEqual(average.name, variable.path.replace("/", "_") + "_ema")
            self.assertEqual((average.dtype, average.shape), (variable.dtype, variable.shape))
            self.assertFalse(average.trainable)
        self.assertLen(ema.variables, len(ema.averages) + 1)

    def test_small_steps_of_16_bit_weights_are_not_lost(self):
        network = build_network("bfloat16")
        ema = WeightAverage(network, 0.99)
        for value in (1.0, *[1.0078125] * 200):  # one bfloat16 step above 1
            for variable in network.weights:
                variable.assign(np.full(variable.shape, value))
            ema.update()
        expected = 1 + 0.0078125 * (1 - 0.99**200)
        self.assertAllClose(ema.averages[0].numpy(), np.full((4, 3), expected), atol=1e-5, rtol=0)
        with ema.applied():
            self.assertAllEqual(network.weights[0].numpy().astype(np.float32), np.full((4, 3), 1.0078125))

    def test_applied_swaps_and_restores_bit_for_bit(self):
        network = build_network("float32")
        ema = WeightAverage(network, 0.9)
        for _ in range(3):
            disturb(network, self.generator)
            ema.update()
        inputs = self.generator.normal(size=(5, 4)).astype(np.float32)
        own, averages, outputs = (
            values(network.variables), values(ema.averages), network(inputs).numpy()
        )  # fmt: skip
        self.assertFalse(ema.swapped)
        with ema.applied():
            self.assertTrue(ema.swapped)
            self.assertEqual(bits(values(network.weights)), bits(averages))
            self.assertNotAllClose(network(inputs).numpy(), outputs)
        self.assertFalse(ema.swapped)
        self.assertEqual(bits(values(network.variables)), bits(own))
        self.assertEqual(bits(values(ema.averages)), bits(averages))
        self.assertAllEqual(network(inputs).numpy(), outputs)

    def test_applied_restores_after_exceptions(self):
        network = build_network("float32")
        ema = WeightAverage(network, 0.9)
        for _ in range(2):
            own = disturb(network, self.generator)
            ema.update()
        for error in (ValueError, KeyboardInterrupt):
            with self.assertRaises(error), ema.applied():
                disturb(network, self.generator)
                raise error
            self.assertEqual(bits(values(network.weights)), bits(own))
            self.assertFalse(ema.swapped)

    def test_a_failing_swap_is_undone(self):
        network = build_network("float32")
        ema = WeightAverage(network, 0.9)
        ema.update()
        own = disturb(network, self.generator)
        last = network.weights[-1]
        assign, calls = last.assign, []

        def fail_once(value):
            calls.append(value)
            if len(calls) == 1:
                raise tf.errors.ResourceExhaustedError(None, None, "no memory")
            return assign(value)

        last.assign = fail_once
        with self.assertRaises(tf.errors.ResourceExhaustedError), ema.applied():
            self.fail("the block must not run")
        self.assertEqual(bits(values(network.weights)), bits(own))

    def test_misuse_is_refused(self):
        network = build_network()
        for decay in (-0.1, 1.0, float("nan")):
            with self.assertRaisesRegex(ValueError, "decay is"):
                WeightAverage(network, decay)
        with self.assertRaisesRegex(ValueError, "not built"):
            WeightAverage(keras.Sequential([keras.layers.Dense(1)]), 0.9)
        ema = WeightAverage(network, 0.9)
        with self.assertRaisesRegex(ValueError, "no average yet"), ema.applied():
            pass
        ema.update()
        with ema.applied():
            for action in (ema.update, lambda: ema.applied().__enter__()):
                with self.assertRaisesRegex(RuntimeError, "leave applied"):
                    action()
        self.assertEqual(int(ema.updates.numpy()), 1)


class UniformTest(Float64Case):
    def test_equals_the_mean_of_all_passes(self):
        generator = np.random.default_rng(0)
        network = build_network()
        average = WeightAverage(network, None)
        seen = [[] for _ in average.averaged]
        for k in range(1, 41):
            disturb(network, generator)
            average.update()
            for values_of_one, variable in zip(seen, average.averaged, strict=True):
                values_of_one.append(np.array(variable.numpy()))
            for mean, values_of_one in zip(average.averages, seen, strict=True):
                np.testing.assert_allclose(mean.numpy(), np.mean(values_of_one, axis=0), rtol=0, atol=1e-12)
            self.assertEqual(int(average.updates.numpy()), k)

    def test_what_never_changes_keeps_its_bits(self):
        network = build_network()
        frozen = values([network.layers[1].kernel])
        average = WeightAverage(network, None)
        for _ in range(7):
            network.weights[-1].assign_add(np.full(network.weights[-1].shape, 0.1))
            average.update()
        place = next(i for i, v in enumerate(average.averaged) if v is network.layers[1].kernel)
        self.assertEqual(bits(values([average.averages[place]])), bits(frozen))

    def test_statistics_are_those_of_a_direct_pass_at_the_averaged_weights(self):
        """Dense, BatchNorm, Dense: means and variances of each micro-batch by NumPy, averaged over its samples."""
        rng = np.random.default_rng(1)
        x, y = rng.normal(size=(50, 4)), rng.integers(0, 2, 50)
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(3), keras.layers.BatchNormalization(momentum=0.9), keras.layers.Dense(2)]
        network = keras.Sequential([keras.Input((4,)), *layers])
        model = FullBatchModel(network, micro_batch_size=20)
        model.compile(
            optimizer=GradientDescent(0.5), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        batches = UpdateBatches(x, y, batch_size=30)
        asked = []

        def statistics():
            asked.append(values(network.weights))
            return model.trainer.recalibrated(UpdateBatches(x, y), model.steps_completed // 2)

        average = WeightAverage(network, None, statistics)
        kernels = []
        for epoch in range(4):
            model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
            average.update()
            kernels.append(layers[0].get_weights())
        self.assertEqual([], asked)
        own = bits(values(network.weights))
        with average.applied():
            kernel, bias = (np.mean(each, axis=0) for each in zip(*kernels, strict=True))
            hidden = x @ kernel + bias
            means = [hidden[i : i + 20].mean(0) for i in (0, 20, 40)]
            variances = [hidden[i : i + 20].var(0) for i in (0, 20, 40)]
            shares = np.array([20, 20, 10]) / 50
            self.assertAllClose(layers[1].moving_mean, shares @ means, rtol=0, atol=1e-12)
            self.assertAllClose(layers[1].moving_variance, shares @ variances, rtol=0, atol=1e-12)
            self.assertAllClose(layers[0].kernel, kernel, rtol=0, atol=1e-12)
            held = bits(values(network.weights))
        self.assertEqual(bits(values(network.weights)), own)
        with average.applied():  # nothing new to measure
            self.assertEqual(bits(values(network.weights)), held)
        self.assertLen(asked, 1)
        average.update()
        with average.applied():
            self.assertLen(asked, 2)


if __name__ == "__main__":
    tf.test.main()
