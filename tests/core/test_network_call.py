"""A network's training call as a pure function: against stock Keras, and against itself at other weights."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.core import penalties, trees
from tf_fullbatch.core.keras_internals import mask_of
from tf_fullbatch.core.network_call import NetworkCall, NetworkOutput
from tf_fullbatch.errors import UserError

FEATURES = 3
ROWS = 6
_GENERATOR = np.random.default_rng(5)
X = _GENERATOR.normal(size=(ROWS, FEATURES))
Y = _GENERATOR.normal(size=(ROWS, 1))
SEED = tf.constant([3, 4])


def sequential(*layers: keras.layers.Layer, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((FEATURES,)), *layers])


def call_of(network: keras.Model) -> NetworkCall:
    return NetworkCall(network, tf.TensorSpec([None, FEATURES], keras.config.floatx()))


def theta_of(network: keras.Model) -> trees.Tree:
    return [tf.convert_to_tensor(v.value) for v in network.trainable_variables]


def outputs(call: NetworkCall, theta: trees.Tree | None = None, seed: Sequence[int] = (3, 4)) -> np.ndarray:
    theta = theta_of(call.network) if theta is None else theta
    return call.call(theta, call.state.values(), lambda: tf.constant(seed), tf.constant(X)).outputs.numpy()


def traced_call(call: NetworkCall, **options: Any) -> Callable:
    """(seed, inputs) -> what a network without weights gives, compiled."""

    def of_seed(seed: tf.Tensor, inputs: tf.Tensor) -> NetworkOutput:
        return call.call([], call.state.values(), lambda: seed, inputs)

    return tf.function(of_seed, autograph=False, **options)


def loss_function(call: NetworkCall) -> penalties.LossFunction:
    def loss(theta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
        output = call.call(
            theta, call.state.values(), lambda: SEED, tf.constant(X, call.network.inputs[0].dtype)
        )
        error = tf.reduce_mean((tf.cast(output.outputs, tf.float64) - Y) ** 2)
        return error + sum(tf.cast(loss, tf.float64) for loss in output.losses), ()

    return loss


def product(call: NetworkCall, operator: str, v: trees.Tree) -> penalties.GradientAndProduct:
    """Gradient and H v, in one compiled function."""
    compute = tf.function(
        lambda theta: penalties.PENALTIES[operator](loss_function(call), theta, lambda _: v, 1e-4),
        autograph=False,
    )
    return compute(theta_of(call.network))


def stock_gradient(network: keras.Model) -> trees.Tree:
    """The gradient as stock Keras' training takes it, of the network as it then is."""

    @tf.function(autograph=False)
    def compute() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            y = network(tf.constant(X, network.inputs[0].dtype), training=True)
            loss = tf.reduce_mean((tf.cast(y, tf.float64) - Y) ** 2)
            loss += sum(tf.cast(extra, tf.float64) for extra in network.losses)
        return tape.gradient(loss, [v.value for v in network.trainable_variables])

    return compute()


class Around(keras.layers.Layer):
    """A dense softplus layer whose `call` goes through a wrapper such as `keras.remat`."""

    def __init__(self, wrapper: Callable[[Callable], Callable] | None, *, early: bool = False):
        super().__init__()
        self.dense = keras.layers.Dense(FEATURES, activation="softplus")
        self.wrapper = wrapper
        self.early = wrapper(self.apply) if early else None

    def apply(self, x: tf.Tensor) -> tf.Tensor:
        return self.dense.call(x)

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        if self.wrapper is None:
            return self.apply(x)
        return (self.early or self.wrapper(self.apply))(x)


class Remembering(keras.layers.Layer):
    """Calls a dense layer through one `tf.function`, made once, which keeps its traces."""

    def __init__(self, **options: Any):
        super().__init__()
        self.dense = keras.layers.Dense(FEATURES, activation="softplus")
        self.norm = keras.layers.BatchNormalization(momentum=0.5)
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.compiled = tf.function(self.apply, **options)

    def build(self, shape: Any) -> None:
        for layer in (self.dense, self.norm):
            layer.build(shape)
        self.built = True

    def apply(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        return self.dropout(self.norm(self.dense(x), training=training), training=training)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.compiled(x, training)


class Plain(Remembering):
    """The same without `tf.function`."""

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.apply(x, training)


class RecomputationTest(Float64Case):
    def assert_trains_as_plain(
        self, layer: Callable[[], keras.layers.Layer], plain: keras.layers.Layer
    ) -> None:
        networks = [sequential(plain, keras.layers.Dense(1)), sequential(layer(), keras.layers.Dense(1))]
        networks[1].set_weights(networks[0].get_weights())
        v = [tf.constant(_GENERATOR.normal(size=w.shape)) for w in networks[0].trainable_variables]
        for operator in ("nested_tape", "forward_over_reverse", "central_differences"):
            expected, found = (product(call_of(n), operator, v) for n in networks)
            self.assertAllClose(found.gradient, expected.gradient, rtol=1e-13, atol=1e-15)
            self.assertAllClose(found.product, expected.product, rtol=1e-9, atol=1e-9)
            self.assertGreater(trees.global_norm(found.product), 1e-3)

    @parameterized.parameters(
        (keras.remat, False), (keras.remat, True), (tf.recompute_grad, False), (tf.recompute_grad, True)
    )
    def test_recomputed_layers_train_in_every_order(self, wrapper: Callable, early: bool) -> None:
        self.assert_trains_as_plain(lambda: Around(wrapper, early=early), Around(None))

    @parameterized.parameters("full", "activations", "larger_than", "list_of_layers")
    def test_remat_scopes(self, mode: str) -> None:
        def inside() -> keras.layers.Layer:
            with keras.RematScope(mode=mode, output_size_threshold=1, layer_names=["inside"]):
                return keras.layers.Dense(FEATURES, activation="softplus", name="inside")

        self.assert_trains_as_plain(inside, keras.layers.Dense(FEATURES, activation="softplus"))

    @parameterized.parameters({}, {"jit_compile": True}, {"autograph": False}, {"reduce_retracing": True})
    def test_a_tf_function_is_not_answered_by_a_trace_under_other_weights(self, **options: Any) -> None:
        self.assert_trains_as_plain(lambda: Remembering(**options), Plain())

    def test_state_within_a_tf_function_is_updated(self) -> None:
        networks = [sequential(Remembering()), sequential(Plain())]
        networks[1].set_weights(networks[0].get_weights())
        measured = []
        for network in networks:
            call = call_of(network)
            measured.append(
                call.call(theta_of(network), call.state.values(), lambda: SEED, tf.constant(X)).measurements
            )
        self.assertLen(measured[0], 2)
        self.assertAllEqual(measured[0], measured[1])

    def test_autograph_of_a_tf_function_is_kept(self) -> None:
        @tf.function
        def doubled_until_large(x: tf.Tensor) -> tf.Tensor:
            while tf.reduce_max(tf.abs(x)) < 10.0:
                x = 2.0 * x
            return x

        network = sequential(keras.layers.Lambda(doubled_until_large, output_shape=(FEATURES,)))
        compiled = tf.function(
            functools.partial(call_of(network).call, [], [], lambda: SEED), autograph=False
        )
        factor = 2.0 ** np.ceil(np.log2(10.0 / np.abs(X).max()))
        self.assertAllEqual(compiled(tf.constant(X)).outputs, factor * X)

    def test_grouped_convolutions_keep_keras_own_compilation(self) -> None:
        # TensorFlow has no gradient of them on a CPU but by XLA.
        layers = keras.layers
        network = sequential(
            layers.Dense(8),
            layers.Reshape((2, 2, 2)),
            layers.Conv2D(4, 2, groups=2),
            layers.Flatten(),
            layers.Dense(1),
        )
        found = product(call_of(network), "nested_tape", theta_of(network))
        for gradient, expected in zip(found.gradient, stock_gradient(network), strict=True):
            self.assertAllClose(gradient, expected, rtol=1e-13, atol=1e-15)

    def test_the_rest_of_the_process_is_left_alone(self) -> None:
        call_of(sequential(Around(keras.remat)))
        runs = []
        tf.recompute_grad(lambda x: runs.append(1) or x * x)(tf.constant(1.0))
        with tf.GradientTape() as tape:
            x = tf.Variable(3.0)
            y = tf.recompute_grad(lambda x: runs.append(1) or x * x)(x)
        self.assertEqual(float(tape.gradient(y, x)), 6.0)
        self.assertLen(runs, 3)  # once, and once more for the gradient


class CustomGradientTest(Float64Case):
    def test_weights_hidden_in_the_function_are_refused_by_name(self) -> None:
        @tf.custom_gradient
        def hides(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            def gradient(upstream: tf.Tensor, variables: Any = None) -> tuple:
                return upstream, [tf.zeros_like(v) for v in variables or []]

            return layer.dense.call(x), gradient

        layer = Around(lambda apply: hides)
        with self.assertRaisesRegex(
            UserError,
            r"layer 'around.*' \(Around\) reads .*kernel.*within a tf.custom_gradient.*as arguments",
        ):
            call_of(sequential(layer))

    def test_weights_given_as_arguments_train(self) -> None:
        @tf.custom_gradient
        def product_with(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            return x @ kernel, lambda upstream: (
                upstream @ tf.transpose(kernel),
                2 * tf.transpose(x) @ upstream,
            )

        class Twice(keras.layers.Layer):
            """Its gradient by the kernel is twice the true one."""

            def build(self, shape: Any) -> None:
                self.kernel = self.add_weight(shape=(shape[-1], 1))

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return product_with(x, self.kernel)

        network = sequential(Twice())
        (kernel,) = theta_of(network)
        found = penalties.value_and_gradient(loss_function(call_of(network)), [kernel]).gradient
        self.assertAllClose(found[0], 2 * 2 / ROWS * X.T @ (X @ kernel.numpy() - Y), rtol=1e-13, atol=1e-15)

    def test_a_gradient_that_reads_weights_reads_the_given_ones(self) -> None:
        class StraightThrough(keras.layers.Layer):
            """Passes inputs on unchanged; its gradient multiplies by a weight."""

            def build(self, shape: Any) -> None:
                self.scale = self.add_weight(shape=(), initializer="ones", trainable=True)

            def call(self, x: tf.Tensor) -> tf.Tensor:
                @tf.custom_gradient
                def forward(a: tf.Tensor) -> tuple[tf.Tensor, Callable]:
                    return tf.identity(a), lambda upstream: self.scale * upstream

                return forward(x) + 0.0 * self.scale

        network = sequential(keras.layers.Dense(1, use_bias=False), StraightThrough())
        kernel, _ = theta_of(network)
        found = penalties.value_and_gradient(
            loss_function(call_of(network)), [kernel, tf.constant(5.0, tf.float64)]
        )
        self.assertAllClose(
            found.gradient[0], 5.0 * 2 / ROWS * X.T @ (X @ kernel.numpy() - Y), rtol=1e-13, atol=1e-15
        )


class Noise(keras.layers.Layer):
    """Adds normal noise by a generator that is kept in a given way."""

    def __init__(self, generator: str):
        super().__init__()
        made = keras.random.SeedGenerator(7)
        self.hidden = (lambda: made) if generator == "hidden" else lambda: None
        self.tracked = made if generator == "tracked" else None

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x + keras.random.normal(keras.ops.shape(x), seed=self.tracked or self.hidden())


class PerTurn(keras.layers.Layer):
    """Draws within a loop over the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(7)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda row: row + keras.random.normal(row.shape, seed=self.generator, dtype=row.dtype), x
        )


class Branch(keras.layers.Layer):
    """Draws in a branch, and once more after it."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = keras.random.SeedGenerator(7)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        def noise() -> tf.Tensor:
            return keras.random.normal((ROWS, FEATURES), seed=self.generator, dtype=x.dtype)

        return tf.cond(tf.reduce_sum(x) < 1e9, noise, lambda: x) - noise()

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class SeedTest(Float64Case):
    @parameterized.parameters("tracked", "hidden", "global")
    def test_every_generator_is_a_function_of_the_given_seed(self, generator: str) -> None:
        call = call_of(sequential(Noise(generator)))
        first = outputs(call)
        keras.random.normal((2,))  # moves Keras' own generator
        self.assertAllEqual(outputs(call), first)
        self.assertAllEqual(outputs(call_of(sequential(Noise(generator), seed=9))), first)
        for other in ((3, 5), (4, 4)):
            self.assertGreater(np.abs(outputs(call, seed=other) - first).min(), 0)

    @parameterized.product(first=("tracked", "hidden", "global"), second=("tracked", "hidden", "global"))
    def test_two_layers_draw_apart(self, first: str, second: str) -> None:
        inputs = keras.Input((FEATURES,))
        parts = [Noise(generator)(inputs) for generator in (first, second)]
        left, right = np.split(
            outputs(call_of(keras.Model(inputs, keras.layers.Concatenate()(parts)))), 2, axis=1
        )
        self.assertGreater(np.abs(left - right).min(), 0)

    @parameterized.parameters("tracked", "hidden", "global")
    def test_traced_calls_draw_the_same(self, generator: str) -> None:
        call = call_of(sequential(Noise(generator)))
        traced = traced_call(call)
        self.assertAllEqual(traced(SEED, tf.constant(X)).outputs, outputs(call))

    @parameterized.parameters("tracked", "hidden", "global")
    def test_draws_under_xla_are_a_function_of_the_given_seed(self, generator: str) -> None:
        # Other numbers than without: Keras leaves the algorithm to TensorFlow.
        call = call_of(sequential(Noise(generator)))
        compiled = traced_call(call, jit_compile=True)
        first = compiled(SEED, tf.constant(X)).outputs
        self.assertAllEqual(compiled(SEED, tf.constant(X)).outputs, first)
        self.assertGreater(np.abs(compiled(SEED + 1, tf.constant(X)).outputs - first).min(), 0)

    def test_keras_own_generator_is_neither_made_nor_moved(self) -> None:
        network = sequential(Noise("global"))
        keras.utils.set_random_seed(3)
        expected = keras.random.normal((2,))
        keras.utils.set_random_seed(3)
        traced_call(call_of(network))(SEED, tf.constant(X))
        self.assertAllEqual(keras.random.normal((2,)), expected)

    def test_draws_in_a_loop_are_refused(self) -> None:
        with self.assertRaisesRegex(UserError, r"layer 'per_turn.*draws random numbers within a loop"):
            call_of(sequential(PerTurn()))

    def test_draws_in_a_branch_are_apart_from_those_outside(self) -> None:
        call = call_of(sequential(Branch()))
        traced = traced_call(call)
        difference = traced(SEED, tf.constant(X)).outputs
        self.assertGreater(np.abs(difference).min(), 0)
        self.assertAllEqual(traced(SEED, tf.constant(X)).outputs, difference)


class ClippedWeights(keras.layers.Layer):
    """Multiplies by weights, after it has clipped them to [-c, c] in their variable."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.RandomNormal(0, 1, seed=1)
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            self.w.assign(keras.ops.clip(self.w, -0.5, 0.5))
        return x * self.w


def spectral() -> keras.layers.Layer:
    return keras.layers.SpectralNormalization(keras.layers.Dense(FEATURES))


def spectral_convolution() -> keras.layers.Layer:
    return keras.Sequential(
        [
            keras.layers.Reshape((FEATURES, 1)),
            keras.layers.SpectralNormalization(keras.layers.Conv1D(2, 2)),
            keras.layers.Flatten(),
        ]
    )


class AssignedWeightsTest(Float64Case):
    @parameterized.parameters(spectral, spectral_convolution, ClippedWeights)
    def test_gradient_and_assigned_values_are_those_of_stock_keras(self, layer: Callable) -> None:
        ours, stock = (
            sequential(layer(), keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.5)))
            for _ in range(2)
        )
        stock.set_weights(ours.get_weights())
        call = call_of(ours)
        before = [v.numpy() for v in ours.variables]
        output = call.call(theta_of(ours), call.state.values(), lambda: SEED, tf.constant(X))
        found = penalties.value_and_gradient(loss_function(call), theta_of(ours)).gradient
        self.assertAllEqual([v.numpy().tolist() for v in ours.variables], [v.tolist() for v in before])
        expected = stock_gradient(stock)  # this assigns
        self.assertAllClose(found, expected, rtol=1e-12, atol=1e-14)
        self.assertNotEmpty(call.state.assigned_weights)
        assigned = {v.path: stock.variables[i] for i, v in enumerate(ours.variables)}
        for variable, value in zip(
            call.state.updated_variables, call.state.updated_values(output.measurements, 1), strict=True
        ):
            self.assertAllClose(value, assigned[variable.path].numpy(), rtol=1e-13, atol=1e-15)
            self.assertNotAllClose(value, variable.numpy())

    @parameterized.parameters(spectral, ClippedWeights)
    def test_product_is_the_hessian_at_the_assigned_value(self, layer: Callable) -> None:
        network = sequential(layer(), keras.layers.Activation("softplus"), keras.layers.Dense(1))
        call = call_of(network)
        v = [tf.constant(_GENERATOR.normal(size=w.shape)) for w in network.trainable_variables]
        found = product(call, "nested_tape", v).product
        measured = call.call(
            theta_of(network), call.state.values(), lambda: SEED, tf.constant(X)
        ).measurements
        for variable, value in zip(call.state.updated_variables, measured, strict=True):
            variable.assign(value)

        def at_the_assigned(theta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tuple]:
            y, _ = network.stateless_call(theta, call.state.values(), tf.constant(X), training=False)
            return tf.reduce_mean((y - Y) ** 2), ()

        expected = penalties.nested_tape(at_the_assigned, theta_of(network), lambda _: v, 0.0).product
        self.assertAllClose(found, expected, rtol=1e-10, atol=1e-12)

    def test_variables_that_were_assigned_hold_constants_as_on_a_tape_of_stock_keras(self) -> None:
        class Centred(keras.layers.Layer):
            def build(self, shape: Any) -> None:
                self.average = self.add_weight(shape=(shape[-1],), trainable=False)

            def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
                if training:
                    self.average.assign(0.5 * self.average + 0.5 * tf.reduce_mean(x, axis=0))
                return x - self.average

        ours, stock = (sequential(keras.layers.Dense(4), Centred(), keras.layers.Dense(1)) for _ in range(2))
        stock.set_weights(ours.get_weights())
        found = penalties.value_and_gradient(loss_function(call_of(ours)), theta_of(ours)).gradient
        self.assertAllClose(found, stock_gradient(stock), rtol=1e-12, atol=1e-14)


class Elsewhere(keras.layers.Layer):
    """Counts its calls in a variable that it hides from Keras."""

    def __init__(self) -> None:
        super().__init__()
        variable = keras.Variable(0.0, name="hidden_counter", trainable=False)
        self.count = lambda: variable

    def call(self, x: tf.Tensor) -> tf.Tensor:
        self.count().assign_add(1.0)
        return x


class InBranch(keras.layers.Layer):
    """Assigns its statistic in one branch of a condition."""

    def build(self, shape: Any) -> None:
        self.largest = self.add_weight(shape=(), initializer="zeros", trainable=False, name="largest")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        def assign() -> tf.Tensor:
            return self.largest.assign(tf.reduce_max(x))

        tf.cond(tf.reduce_max(x) > 0, assign, lambda: tf.reduce_max(x))
        return x

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


class ForeignVariableTest(Float64Case):
    def test_a_keras_variable_that_is_not_the_networks_is_refused_by_name(self) -> None:
        layer = Elsewhere()
        with self.assertRaisesRegex(
            UserError, r"layer 'elsewhere.*' \(Elsewhere\) assigns the variable 'hidden_counter'.*add_weight"
        ):
            call_of(sequential(layer))
        self.assertEqual(float(layer.count().numpy()), 0.0)

    def test_an_assignment_in_a_branch_is_refused(self) -> None:
        with self.assertRaisesRegex(
            UserError, r"layer 'in_branch.*' .*assigns .*largest' within a condition"
        ):
            call_of(sequential(InBranch()))

    def test_refusals_are_one_line(self) -> None:
        for layer in (Elsewhere(), InBranch(), PerTurn()):
            with self.assertRaises(UserError) as caught:
                call_of(sequential(layer))
            self.assertLen(str(caught.exception).splitlines(), 1)


class SharedPenalty(keras.layers.Layer):
    """Adds a loss of its inputs, one number per feature."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        self.add_loss(tf.reduce_mean(x**2, axis=0))
        return x


class LossesTest(Float64Case):
    def test_losses_are_those_of_stock_keras(self) -> None:
        inputs = keras.Input((FEATURES,))
        shared = SharedPenalty()
        hidden = shared(keras.layers.Dense(FEATURES, kernel_regularizer="l2")(shared(inputs)))
        network = keras.Model(inputs, keras.layers.ActivityRegularization(l2=0.1)(hidden))
        call = call_of(network)
        found = call.call(theta_of(network), call.state.values(), lambda: SEED, tf.constant(X)).losses
        network(tf.constant(X), training=True)
        expected = [np.sum(loss.numpy()) for loss in network.losses]
        self.assertLen(expected, 4)  # the shared layer's two, the activity's and the kernel's
        self.assertAllClose(sorted(found), sorted(expected), rtol=1e-13, atol=0)
        self.assertEqual({loss.shape.rank for loss in found}, {0})

    def test_a_network_whose_call_knows_no_training(self) -> None:
        class Own(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.norm = keras.layers.BatchNormalization()

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return self.norm(x)

        network = Own()
        network(X)
        self.assertAllClose(outputs(call_of(network)).mean(axis=0), np.zeros(FEATURES), rtol=0, atol=1e-14)


class MaskTest(tf.test.TestCase, parameterized.TestCase):
    IDS = np.array([[1, 2, 0], [3, 0, 0]])

    @parameterized.parameters(
        ([keras.layers.Embedding(5, 2, mask_zero=True), keras.layers.LSTM(3, return_sequences=True)], True),
        ([keras.layers.Embedding(5, 2, mask_zero=True), keras.layers.Dense(1)], True),
        ([keras.layers.Embedding(5, 2, mask_zero=True), keras.layers.LSTM(3)], False),
        ([keras.layers.Embedding(5, 2), keras.layers.Dense(1)], False),
    )
    def test_mask_of_the_outputs(self, layers: list[keras.layers.Layer], masked: bool) -> None:
        network = keras.Sequential([keras.Input((3,), dtype="int32"), *layers])
        call = NetworkCall(network, tf.TensorSpec([None, 3], tf.int32))
        output = call.call(
            theta_of(network), call.state.values(), lambda: SEED, tf.constant(self.IDS, tf.int32)
        )
        if masked:
            self.assertAllEqual(mask_of(output.outputs), self.IDS != 0)
        else:
            self.assertIsNone(mask_of(output.outputs))

    def test_mask_of_a_networks_own(self) -> None:
        class Own(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.supports_masking = True

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return 2.0 * x

            def compute_mask(self, inputs: tf.Tensor, previous_mask: Any = None) -> tf.Tensor:
                return inputs[..., 0] > 0

        network = Own()
        network(X.astype("float32"))
        call = NetworkCall(network, tf.TensorSpec([None, FEATURES], tf.float32))
        outputs = call.call([], [], lambda: SEED, tf.constant(X, tf.float32)).outputs
        self.assertAllEqual(mask_of(outputs), X[:, 0] > 0)


class MixedDtypesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(("float64", 1e-6), ("bfloat16", 0.1))
    def test_layers_of_their_own_dtype(self, dtype: str, tolerance: float) -> None:
        """Against the same network in float64; bfloat16 has 8 bits."""

        def network(own: str, other: str) -> keras.Model:
            keras.utils.set_random_seed(0)
            return keras.Sequential(
                [
                    keras.Input((FEATURES,), dtype=other),
                    keras.layers.Dense(4, activation="softplus", dtype=other),
                    keras.layers.Dense(4, activation="softplus", dtype=own),
                    keras.layers.Dense(1, dtype=other),
                ]
            )

        mixed, exact = network(dtype, "float32"), network("float64", "float64")
        exact.set_weights([v.numpy().astype("float64") for v in mixed.variables])
        v = [tf.constant(_GENERATOR.normal(size=w.shape)) for w in mixed.trainable_variables]
        for operator in ("nested_tape", "forward_over_reverse"):
            found, expected = (
                product(
                    NetworkCall(n, tf.TensorSpec([None, FEATURES], n.inputs[0].dtype)),
                    operator,
                    [tf.cast(a, w.dtype) for a, w in zip(v, n.trainable_variables, strict=True)],
                )
                for n in (mixed, exact)
            )
            for name in ("gradient", "product"):
                ours, right = getattr(found, name), getattr(expected, name)
                self.assertEqual(
                    [a.dtype for a in ours], [tf.as_dtype(w.dtype) for w in mixed.trainable_variables]
                )
                error = trees.subtract([tf.cast(a, tf.float64) for a in ours], right)
                self.assertLess(trees.global_norm(error), tolerance * trees.global_norm(right))


if __name__ == "__main__":
    tf.test.main()
