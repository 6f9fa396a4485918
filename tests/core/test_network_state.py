"""What becomes of BatchNorm statistics, dropout seeds and other state over the micro-batches of a step."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.network_state import NetworkState

FEATURES = 4
SPEC = tf.TensorSpec([None, FEATURES], tf.float64)


@keras.saving.register_keras_serializable(package="test_network_state")
class RunningMean(keras.layers.Layer):
    """Subtracts a moving average of its inputs' mean, `average = 0.75 * average + 0.25 * mean`."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.average = self.add_weight(shape=(input_shape[-1],), initializer="ones", trainable=False)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.average.assign(0.75 * self.average + 0.25 * tf.reduce_mean(x, axis=0))
        return x - self.average


@keras.saving.register_keras_serializable(package="test_network_state")
class Counter(keras.layers.Layer):
    """Counts its calls in training."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.calls = self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="int32", name="calls"
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.calls.assign_add(1)
        return x


def sequential(*layers: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((FEATURES,)), *layers])


def run_step(network: keras.Model, micro_batches: list[np.ndarray]) -> NetworkState:
    """Puts the micro-batches of one step through the network as training does, and assigns the new state."""
    call = NetworkCall(network, SPEC)
    state = call.state
    theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
    frozen, rows = state.values(), sum(map(len, micro_batches))
    means = [0.0] * len(state.updated_variables)
    for x in micro_batches:
        measured = call.call(theta, frozen, lambda: tf.constant([1, 2]), tf.constant(x)).measurements
        means = [mean + len(x) / rows * m for mean, m in zip(means, measured, strict=True)]
    for variable, value in zip(
        state.updated_variables, state.updated_values(means, len(micro_batches)), strict=True
    ):
        variable.assign(value)
    return state


def samples(*sizes: int) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.normal(1.0, 2.0, (size, FEATURES)) for size in sizes]


class BatchNormTest(Float64Case):
    @parameterized.parameters(0.0, 0.9, 0.99)
    def test_ragged_step_equals_the_formula(self, momentum: float) -> None:
        layer = keras.layers.BatchNormalization(
            momentum=momentum,
            moving_mean_initializer=keras.initializers.Constant(3.0),
            moving_variance_initializer=keras.initializers.Constant(5.0),
        )
        parts = samples(5, 5, 2)
        run_step(sequential(layer), parts)
        kept = momentum**3
        mean = (5 * parts[0].mean(0) + 5 * parts[1].mean(0) + 2 * parts[2].mean(0)) / 12
        variance = (5 * parts[0].var(0) + 5 * parts[1].var(0) + 2 * parts[2].var(0)) / 12
        self.assertAllClose(layer.moving_mean, kept * 3.0 + (1 - kept) * mean, rtol=1e-13, atol=1e-13)
        self.assertAllClose(layer.moving_variance, kept * 5.0 + (1 - kept) * variance, rtol=1e-13, atol=1e-13)

    @parameterized.parameters(0.0, 0.9, 1.0)
    def test_one_micro_batch_is_what_keras_does(self, momentum: float) -> None:
        ours, stock = (keras.layers.BatchNormalization(momentum=momentum) for _ in range(2))
        (x,) = samples(6)
        run_step(sequential(ours), [x])
        sequential(stock)(x, training=True)
        self.assertAllClose(ours.moving_mean, stock.moving_mean, rtol=1e-13, atol=1e-15)
        self.assertAllClose(ours.moving_variance, stock.moving_variance, rtol=1e-13, atol=1e-13)

    def test_layer_called_twice_is_what_keras_does(self) -> None:
        def build() -> tuple[keras.Model, keras.layers.Layer]:
            shared = keras.layers.BatchNormalization(momentum=0.8)
            inputs = keras.Input((FEATURES,))
            outputs = shared(keras.layers.Activation("softplus")(shared(inputs)) + inputs)
            return keras.Model(inputs, outputs), shared

        (network, ours), (stock_network, stock) = build(), build()
        (x,) = samples(6)
        run_step(network, [x])
        stock_network(x, training=True)
        self.assertAllClose(ours.moving_mean, stock.moving_mean, rtol=1e-13, atol=1e-13)
        self.assertAllClose(ours.moving_variance, stock.moving_variance, rtol=1e-13, atol=1e-13)

    def test_what_a_measurement_is_fed_does_not_depend_on_the_old_statistics(self) -> None:
        network = sequential(keras.layers.BatchNormalization())
        call = NetworkCall(network, SPEC)
        state = call.state
        old = [tf.fill(v.shape, tf.constant(1e6, tf.float64)) for v in state.variables]
        (x,) = samples(6)
        theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
        measured = call.call(theta, old, lambda: tf.constant([0, 0]), tf.constant(x)).measurements
        self.assertAllClose(measured, [x.mean(0), x.var(0)], rtol=1e-13, atol=1e-13)

    @parameterized.parameters(True, False)
    def test_frozen_layer_is_left_alone_and_normalises_with_its_statistics(self, outer: bool) -> None:
        layer = keras.layers.BatchNormalization(
            moving_mean_initializer=keras.initializers.Constant(3.0),
            moving_variance_initializer=keras.initializers.Constant(5.0),
        )
        inner = sequential(layer)
        network = keras.Sequential([keras.Input((FEATURES,)), inner])
        (inner if outer else layer).trainable = False
        call = NetworkCall(network, SPEC)
        self.assertEqual(call.state.updated_variables, [])
        (x,) = samples(6)
        theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
        outputs = call.call(theta, call.state.values(), lambda: tf.constant([0, 0]), tf.constant(x)).outputs
        self.assertAllClose(outputs, (x - 3.0) / np.sqrt(5.0 + layer.epsilon), rtol=1e-13, atol=1e-13)
        run_step(network, [x])
        self.assertAllEqual(layer.moving_mean, np.full(FEATURES, 3.0))
        self.assertAllEqual(layer.moving_variance, np.full(FEATURES, 5.0))

    def test_layers_of_nested_models_are_found(self) -> None:
        inputs = keras.Input((FEATURES,))
        layers = [keras.layers.BatchNormalization(momentum=m) for m in (0.5, 0.9)]
        inner = keras.Model(inputs, layers[0](inputs))
        network = sequential(inner, layers[1])
        parts = samples(5, 3)
        run_step(network, parts)
        mean = (5 * parts[0].mean(0) + 3 * parts[1].mean(0)) / 8
        self.assertAllClose(layers[0].moving_mean, (1 - 0.25) * mean, rtol=1e-13, atol=1e-13)
        inner_outputs = [(p - p.mean(0)) / np.sqrt(p.var(0) + layers[0].epsilon) for p in parts]
        variance = (5 * inner_outputs[0].var(0) + 3 * inner_outputs[1].var(0)) / 8
        self.assertAllClose(layers[1].moving_variance, 0.81 + 0.19 * variance, rtol=1e-12, atol=1e-12)


class OtherStateTest(Float64Case):
    def test_a_layers_own_moving_average_is_averaged(self) -> None:
        layer = RunningMean()
        parts = samples(5, 5, 2)
        state = run_step(sequential(layer), parts)
        self.assertEqual([v.path for v in state.updated_variables], [layer.average.path])
        weights = np.array([5, 5, 2]) / 12
        expected = sum(w * (0.75 + 0.25 * p.mean(0)) for w, p in zip(weights, parts, strict=True))
        self.assertAllClose(layer.average, expected, rtol=1e-13, atol=1e-13)

    def test_an_integer_counter_is_refused_by_name(self) -> None:
        with self.assertRaisesRegex(ValueError, r"calls.*int32.*changes while training"):
            NetworkCall(sequential(Counter()), SPEC)

    def test_frozen_weights_pass_through(self) -> None:
        dense = keras.layers.Dense(3)
        network = sequential(dense, keras.layers.Dense(2))
        dense.trainable = False
        state = NetworkCall(network, SPEC).state
        self.assertEqual(state.updated_variables, [])
        values = state.values()
        for fed, value in zip(state.feed(values, lambda: tf.constant([0, 0])), values, strict=True):
            self.assertAllEqual(fed, value)

    def test_looking_at_the_network_changes_nothing_in_it(self) -> None:
        network = sequential(
            keras.layers.BatchNormalization(), keras.layers.Dropout(0.5, seed=1), RunningMean()
        )
        before = [v.numpy() for v in network.variables]
        NetworkCall(network, SPEC)
        self.assertEqual([v.tobytes() for v in before], [v.numpy().tobytes() for v in network.variables])


class SeedTest(Float64Case):
    def masks(self, network: keras.Model, seed: tuple[int, int]) -> np.ndarray:
        call = NetworkCall(network, SPEC)
        theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]
        x = tf.ones([64, FEATURES], tf.float64)
        return call.call(theta, call.state.values(), lambda: tf.constant(seed), x).outputs.numpy()

    def test_masks_are_a_function_of_the_given_seed(self) -> None:
        network = sequential(keras.layers.Dropout(0.5, seed=1))
        first = self.masks(network, (3, 4))
        network(tf.ones([8, FEATURES], tf.float64), training=True)  # moves Keras' own generator
        self.assertAllEqual(self.masks(network, (3, 4)), first)
        self.assertNotAllEqual(self.masks(network, (3, 5)), first)
        self.assertNotAllEqual(self.masks(network, (4, 4)), first)

    def test_layers_of_equal_keras_seed_draw_apart_nested_ones_too(self) -> None:
        inputs = keras.Input((FEATURES,))
        inner = keras.Model(inputs, keras.layers.Dropout(0.5, seed=1)(inputs))
        branches = [keras.layers.Dropout(0.5, seed=1)(inputs), inner(inputs)]
        network = keras.Model(inputs, keras.layers.Concatenate()(branches))
        left, right = np.split(self.masks(network, (3, 4)), 2, axis=1)
        self.assertLess(abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]), 5 / np.sqrt(left.size))

    def test_seeds_are_no_measurements(self) -> None:
        state = NetworkCall(
            sequential(keras.layers.Dropout(0.5), keras.layers.GaussianNoise(1.0)), SPEC
        ).state
        self.assertEqual(state.updated_variables, [])
        self.assertLen(state.variables, 2)


if __name__ == "__main__":
    tf.test.main()
