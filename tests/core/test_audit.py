"""What the audit refuses before training, by layer and operation, and what it lets pass."""

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.core import audit, penalties, trees
from tf_fullbatch.core.audit import AuditReport
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError

K = keras.layers
IMAGE = (4, 4, 2)


def squared_error(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.square(tf.cast(targets, outputs.dtype) - outputs), axis=-1)


def check(
    *layers: keras.layers.Layer, shape: tuple[int, ...] = (3,), loss: Any = squared_error, **wanted: Any
) -> AuditReport:
    network = keras.Sequential([keras.Input(shape), *layers])
    inputs = tf.TensorSpec([None, *shape], tf.float32)
    call = NetworkCall(network, inputs)
    samples = SampleSpecs(inputs, tf.TensorSpec([None, 1], tf.float32))
    return audit.check(call, TrainingLoss.of_one(loss), samples, **wanted)


class Applied(K.Layer):
    """A function of the inputs multiplied by a weight."""

    def __init__(self, function: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__(name="applied")
        self.function = function

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.RandomUniform(0.5, 1.5, seed=2)
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.function(x * self.w)


class AuditCase(tf.test.TestCase, parameterized.TestCase):
    def assert_refused(self, words: str, *layers: keras.layers.Layer, **wanted: Any) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            check(*layers, **wanted)
        self.assertLen(str(caught.exception).splitlines(), 1)


class SecondDerivativesTest(AuditCase):
    @parameterized.parameters(
        (lambda: K.UpSampling2D(2, interpolation="bilinear"), "up_sampling2d", "ResizeBilinearGrad"),
        (lambda: K.UpSampling2D(2, interpolation="bicubic"), "up_sampling2d", "ResizeBicubicGrad"),
        (lambda: K.Resizing(5, 5), "resizing", "ResizeBilinearGrad"),
        (lambda: Applied(lambda x: tf.image.resize(x, [3, 3], "area")), "applied", "ResizeArea"),
        (
            lambda: Applied(lambda x: tf.image.resize(x, [5, 5], "lanczos3")),
            "applied",
            "ScaleAndTranslateGrad",
        ),
        (lambda: Applied(lambda x: tf.nn.local_response_normalization(x)), "applied", "LRNGrad"),
        (
            lambda: Applied(lambda x: tf.image.crop_and_resize(x, [[0.0, 0.0, 0.5, 0.5]], [0], [2, 2])),
            "applied",
            "CropAndResizeGradImage",
        ),
        (
            lambda: Applied(lambda x: tf.quantization.fake_quant_with_min_max_args(x, -1.0, 1.0)),
            "applied",
            "FakeQuantWithMinMaxArgsGradient",
        ),
        (
            lambda: Applied(lambda x: tf.map_fn(lambda i: tf.image.resize(i, [5, 5]), x)),
            "applied",
            "ResizeBilinearGrad",
        ),
    )
    def test_operations_without_a_second_derivative(self, layer: Callable, name: str, operation: str) -> None:
        layers = [K.Conv2D(2, 1), layer(), K.Conv2D(1, 1, activation="softplus"), K.GlobalAveragePooling2D()]
        words = rf"layer '{name}.*{operation}.* no (derivative|gradient).*(--penalty=central_differences|exchange)"
        self.assert_refused(words, *layers, shape=IMAGE, second_derivatives=True)
        if not operation.startswith("ResizeArea"):
            check(*layers, shape=IMAGE)  # first derivatives are there

    def test_a_layer_before_every_weight_does_no_harm(self) -> None:
        upsampled = [K.UpSampling2D(2, interpolation="bilinear"), K.Conv2D(1, 1), K.GlobalAveragePooling2D()]
        check(*upsampled, shape=IMAGE, second_derivatives=True)

    def test_a_gradient_that_is_stopped_on_purpose_passes(self) -> None:
        check(Applied(lambda x: x**2 * tf.stop_gradient(x)), K.Dense(1), second_derivatives=True)

    def test_no_gradient_at_all(self) -> None:
        adjusted = Applied(lambda x: tf.image.adjust_saturation(tf.concat([x, x[..., :1]], -1), 2.0))
        self.assert_refused(
            r"layer 'applied' \(Applied\) uses AdjustSaturation, of which TensorFlow has no gradient",
            adjusted,
            K.Flatten(),
            K.Dense(1),
            shape=IMAGE,
        )

    @parameterized.parameters(
        *(
            "relu",
            "silu",
            "gelu",
            "elu",
            "selu",
            "softmax",
            "log_softmax",
            "hard_sigmoid",
            "mish",
            "celu",
        )
    )
    def test_activations_pass(self, activation: str) -> None:
        check(K.Dense(4), K.Activation(activation), K.Dense(1), second_derivatives=True, forward_mode=True)

    @parameterized.parameters(
        (lambda: [K.Conv2D(2, 2), K.BatchNormalization(), K.MaxPooling2D(2)], IMAGE),
        (lambda: [K.DepthwiseConv2D(2), K.GroupNormalization(2), K.AveragePooling2D(2)], IMAGE),
        (lambda: [K.SeparableConv2D(2, 2), K.LayerNormalization(), K.GlobalMaxPooling2D()], IMAGE),
        (lambda: [K.Conv2DTranspose(2, 2), K.UpSampling2D(2), K.SpatialDropout2D(0.5)], IMAGE),
        (
            lambda: [K.Conv2D(2, 1), K.RandomFlip(), K.RandomTranslation(0.1, 0.1, interpolation="nearest")],
            IMAGE,
        ),
        (lambda: [K.LSTM(3)], (4, 2)),
        (lambda: [K.Bidirectional(K.GRU(3, dropout=0.5))], (4, 2)),
        (lambda: [K.Dense(4), K.Reshape((2, 2)), K.SimpleRNN(2, return_sequences=True)], (3,)),
        (lambda: [K.SpectralNormalization(K.Dense(3))], (3,)),
        (
            lambda: [K.EinsumDense("ab,bc->ac", 3), K.UnitNormalization(), K.PReLU(), K.GaussianDropout(0.5)],
            (3,),
        ),
        (lambda: [K.Dense(4), K.Dropout(0.5), K.GaussianNoise(1.0), K.AlphaDropout(0.5)], (3,)),
    )
    def test_stock_layers_pass(self, layers: Callable, shape: tuple[int, ...]) -> None:
        check(*layers(), K.Flatten(), K.Dense(1), shape=shape, second_derivatives=True, replicas=2)


class IncompleteTest(AuditCase):
    """Second derivatives that TensorFlow has, but not whole."""

    @parameterized.parameters(tf.compat.v1.nn.moments, tf.nn.moments)
    def test_moments_under_another_name(self, moments: Callable) -> None:
        def normalised(x: tf.Tensor) -> tf.Tensor:
            mean, variance = moments(x, [0])
            return (x - mean) / tf.sqrt(variance + 1.0)

        words = "layer 'applied' .* takes tf.nn.moments under another name"
        self.assert_refused(words, Applied(normalised), K.Dense(1), second_derivatives=True)
        check(Applied(normalised), K.Dense(1))

    def test_labels_that_move_with_weights(self) -> None:
        def mutual(x: tf.Tensor, stop: Callable = tf.identity) -> tf.Tensor:
            labels = stop(tf.nn.softmax(tf.sin(x)))
            return tf.nn.softmax_cross_entropy_with_logits(labels, x)[:, tf.newaxis]

        words = "layer 'applied' .* cross-entropy whose labels depend on weights"
        self.assert_refused(words, Applied(mutual), K.Dense(1), second_derivatives=True)
        check(Applied(mutual), K.Dense(1))
        stopped = Applied(lambda x: mutual(x, tf.stop_gradient))
        check(stopped, K.Dense(1), second_derivatives=True)

    def test_complex_weights(self) -> None:
        class Complex(K.Layer):
            def build(self, shape: Any) -> None:
                self.w = self.add_weight(shape=(3,), dtype="complex64", initializer="zeros")

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return x * tf.math.real(self.w.value)

        self.assert_refused(
            "is complex64, but gradients are summed up in real numbers", Complex(), K.Dense(1)
        )


class TrulyZeroTest(Float64Case):
    @parameterized.parameters(
        ("sign", lambda x: x * tf.sign(x - 0.7)),
        ("floor", lambda x: x * tf.floor(3 * x)),
        ("ceil", lambda x: x * tf.math.ceil(3 * x)),
        ("round", lambda x: x * tf.round(3 * x)),
        ("rint", lambda x: x * tf.math.rint(3 * x)),
        ("floordiv", lambda x: x * (x // 0.3)),
        ("comparison", lambda x: x * tf.cast(x > 0.7, x.dtype)),
        ("where", lambda x: tf.where(x > 0.7, x, x**3)),
        ("cast", lambda x: x * tf.cast(tf.cast(3 * x, tf.int32), x.dtype)),
        ("argmax", lambda x: x * tf.cast(tf.argmax(x, axis=-1), x.dtype)[:, tf.newaxis]),
        ("gathered", lambda x: tf.gather(x**2, tf.argsort(x[0]), axis=-1)),
        ("one_hot", lambda x: x**2 * tf.one_hot(tf.argmax(x, axis=-1), 3, dtype=x.dtype)),
        ("shape", lambda x: x**2 * tf.cast(tf.shape(x)[0], x.dtype) / tf.cast(tf.size(x), x.dtype)),
        ("zeros_like", lambda x: x**2 + tf.zeros_like(x)),
        ("ones_like", lambda x: x**2 * tf.ones_like(x)),
        ("sorted", lambda x: tf.sort(x**2, axis=-1)),
        ("top_k", lambda x: tf.math.top_k(x**2, 2).values),
        ("maximum", lambda x: tf.maximum(x**2, 0.5)),
        ("clip", lambda x: tf.clip_by_value(x**3, 0.2, 0.9)),
        ("mod", lambda x: tf.math.floormod(x, 0.3) ** 2),
        ("range", lambda x: x**2 * tf.range(3, dtype=x.dtype)),
        ("dropout", lambda x: keras.random.dropout(x**2, 0.5)),
    )
    def test_operations_whose_derivative_is_truly_zero(self, name: str, function: Callable) -> None:
        """They pass, and the product is the difference quotient of the gradient."""
        network = keras.Sequential([keras.Input((3,)), Applied(function), K.Dense(1, activation="softplus")])
        inputs, targets = tf.TensorSpec([None, 3], tf.float64), tf.TensorSpec([None, 1], tf.float64)
        call = NetworkCall(network, inputs)
        audit.check(
            call, TrainingLoss.of_one(squared_error), SampleSpecs(inputs, targets), second_derivatives=True
        )
        generator = np.random.default_rng(1)
        x, y = tf.constant(generator.uniform(0.3, 1.2, (5, 3))), tf.constant(generator.normal(size=(5, 1)))
        theta = [tf.convert_to_tensor(v.value) for v in network.trainable_variables]

        def loss(theta: trees.Tree) -> tuple[tf.Tensor, tuple]:
            output = call.call(theta, call.state.values(), lambda: tf.constant([1, 2]), x).outputs
            return tf.reduce_mean(squared_error(y, output)), ()

        v = [tf.constant(generator.normal(size=t.shape)) for t in theta]
        exact = penalties.nested_tape(loss, theta, lambda _: v, 0.0).product
        quotient = penalties.central_differences(loss, theta, lambda _: v, 1e-5).product
        self.assertAllClose(exact, quotient, rtol=1e-6, atol=1e-8)
        self.assertGreater(trees.global_norm(exact), 1e-3)


class NoGradientTest(AuditCase):
    def test_a_loss_without_a_gradient(self) -> None:
        def error_rate(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.abs(targets - tf.round(tf.sigmoid(outputs))), -1)

        self.assert_refused(
            r"No gradient.*weights '.*dense.*kernel', '.*bias': the loss, or the last layers.*differentiable",
            K.Dense(1),
            loss=error_rate,
        )

    def test_some_weights_without_a_gradient(self) -> None:
        self.assert_refused(
            r"No gradient.*'.*first/kernel', '.*first/bias', '.*second/kernel' and 1 more: set trainable=False",
            K.Dense(3, name="first"),
            K.Dense(3, name="second"),
            K.Lambda(tf.floor),
            K.Dense(1),
        )

    def test_weights_that_are_not_used(self) -> None:
        class Unused(K.Layer):
            def build(self, shape: Any) -> None:
                self.w = self.add_weight(shape=(2,), name="spare")

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return x

        self.assert_refused(r"No gradient.*spare': set trainable=False", Unused(), K.Dense(1))

    def test_frozen_weights_need_none(self) -> None:
        check(K.Dense(3, trainable=False), K.Lambda(tf.floor), K.Dense(1))

    def test_weights_read_past_keras(self) -> None:
        class Past(K.Layer):
            def build(self, shape: Any) -> None:
                self.w = self.add_weight(shape=(shape[-1],), name="passed")

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return x * self.w._value

        self.assert_refused(
            r"weight '.*passed' is read from its variable.*no gradient would reach", Past(), K.Dense(1)
        )

    def test_a_saved_trace_of_a_function(self) -> None:
        dense = K.Dense(3, name="saved")
        dense.build((None, 3))
        concrete = tf.function(dense.call).get_concrete_function(tf.TensorSpec([None, 3]))

        class Saved(K.Layer):
            def __init__(self) -> None:
                super().__init__()
                self.dense = dense
                self.built = True

            def call(self, x: tf.Tensor) -> tf.Tensor:
                return concrete(x)

        self.assert_refused(r"weight 'saved/(kernel|bias)' is read from its variable", Saved(), K.Dense(1))

    def test_weights_overwritten_by_their_gradient(self) -> None:
        dense = K.Dense(3, dtype="float8_from_float32")
        self.assert_refused(r"overwritten by its gradient \(float8 training\)", dense, K.Dense(1))


class RandomTest(AuditCase):
    @parameterized.parameters(
        ("RandomStandardNormal", lambda x: x + tf.random.normal(tf.shape(x))),
        ("RandomStandardNormal", lambda x: x + tf.random.normal(tf.shape(x), seed=3)),
        ("RandomUniform", lambda x: tf.nn.dropout(x, 0.5)),
        (
            "RandomUniformInt",
            lambda x: tf.gather(x, tf.random.uniform([3], maxval=3, dtype=tf.int32), axis=-1),
        ),
        ("TruncatedNormal", lambda x: x + tf.random.truncated_normal(tf.shape(x))),
        ("RandomShuffle", lambda x: x + tf.random.shuffle(tf.range(3.0))),
        ("RandomGamma", lambda x: x + tf.random.gamma([3], 2.0)),
        ("RandomPoissonV2", lambda x: x + tf.random.poisson([3], 2.0)),
        ("Multinomial", lambda x: x + tf.cast(tf.random.categorical([[0.0, 0.0]], 3), x.dtype)),
        ("RandomUniform", lambda x: tf.map_fn(lambda row: row * tf.random.uniform([3]), x)),
    )
    def test_draws_from_a_state_of_tensorflow(self, operation: str, function: Callable) -> None:
        words = rf"layer 'applied' \(Applied\) draws random numbers by {operation} .*keras.random"
        self.assert_refused(words, Applied(function), K.Dense(1))

    def test_a_generator_of_tensorflow(self) -> None:
        generator = tf.random.Generator.from_seed(1)
        self.assert_refused(
            "layer 'applied'.*draws random numbers by (RngReadAndSkip|StatefulStandardNormalV2)",
            Applied(lambda x: x + generator.normal([3])),
            K.Dense(1),
        )

    @parameterized.parameters(False, True)
    def test_random_pooling(self, seeded: bool) -> None:
        pool = Applied(lambda x: tf.nn.fractional_max_pool(x, [1, 1.4, 1.4, 1], seed=int(seeded))[0])
        layers = [pool, K.GlobalAveragePooling2D(), K.Dense(1)]
        if seeded:
            check(*layers, shape=IMAGE)
        else:
            self.assert_refused("layer 'applied'.*FractionalMaxPool", *layers, shape=IMAGE)

    def test_draws_in_the_loss(self) -> None:
        def noisy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return squared_error(targets, outputs + tf.random.normal(tf.shape(outputs)))

        self.assert_refused(
            "network 'sequential.*draws random numbers by RandomStandardNormal", K.Dense(1), loss=noisy
        )

    @parameterized.parameters(
        (
            "PyFunc",
            lambda x: x + tf.ensure_shape(tf.numpy_function(lambda: np.float32(1), [], tf.float32), []),
        ),
        ("EagerPyFunc", lambda x: x + tf.ensure_shape(tf.py_function(lambda: 1.0, [], tf.float32), [])),
        ("Timestamp", lambda x: x + tf.cast(tf.timestamp(), tf.float32)),
    )
    def test_results_from_outside(self, operation: str, function: Callable) -> None:
        words = f"layer 'applied' .* calls Python .* or the clock by {operation}"
        self.assert_refused(words, Applied(function), K.Dense(1))

    def test_stateless_draws_pass(self) -> None:
        check(
            Applied(lambda x: x + tf.random.stateless_normal([3], [1, 2]) + keras.random.normal((3,))),
            K.Dense(1),
        )


class AssignmentTest(AuditCase):
    @parameterized.parameters(
        ("AssignAddVariableOp", lambda v, x: v.assign_add(tf.reduce_mean(x, 0))),
        ("AssignSubVariableOp", lambda v, x: v.assign_sub(tf.reduce_mean(x, 0))),
        ("AssignVariableOp", lambda v, x: v.assign(tf.reduce_mean(x, 0))),
        ("ResourceScatterUpdate", lambda v, x: v.scatter_update(tf.IndexedSlices(x[0, :1], [0]))),
        ("ResourceStridedSliceAssign", lambda v, x: v[:1].assign(x[0, :1])),
    )
    def test_variables_of_tensorflow(self, operation: str, assign: Callable) -> None:
        variable = tf.Variable(tf.zeros([3]), name="hidden", trainable=False)

        class Assigns(K.Layer):
            def call(self, x: tf.Tensor) -> tf.Tensor:
                assign(variable, x)
                return x

        self.assert_refused(
            rf"layer 'assigns.*' \(Assigns\) assigns the variable 'hidden' by {operation}.*add_weight",
            K.Dense(3),
            Assigns(),
            K.Dense(1),
        )

    def test_in_a_branch(self) -> None:
        variable = tf.Variable(0.0, trainable=False)

        class Assigns(K.Layer):
            def call(self, x: tf.Tensor) -> tf.Tensor:
                def count() -> tf.Tensor:
                    return variable.assign_add(1.0)

                return x + 0.0 * tf.cond(tf.reduce_sum(x) > 0, count, lambda: 0.0)

        self.assert_refused(
            r"layer 'assigns.*' \(Assigns\) assigns the variable.*AssignAdd", Assigns(), K.Dense(1)
        )
        self.assertEqual(float(variable), 0.0)

    def test_reading_a_table_passes(self) -> None:
        table = tf.Variable(tf.ones([5, 3]), trainable=False)
        check(Applied(lambda x: x + tf.gather(table, [0])), K.Dense(1))

    def test_assigned_weights_and_shifted_ones(self) -> None:
        layers = [K.SpectralNormalization(K.Dense(3, name="normalised")), K.Dense(1)]
        self.assert_refused(r"normalised/kernel' is assigned.*nested_tape", *layers, shifted_weights=True)
        check(*layers, second_derivatives=True)


class ReplicasTest(AuditCase):
    def test_synchronized_batch_norm(self) -> None:
        layers = [K.BatchNormalization(synchronized=True), K.Dense(1)]
        self.assert_refused(
            r"'batch_normalization.*' \(BatchNormalization\) exchanges data .* 2 replicas.*synchronized=False",
            *layers,
            replicas=2,
        )
        check(*layers, replicas=1)

    @parameterized.parameters(
        lambda x: tf.distribute.get_replica_context().all_reduce("sum", x),
        lambda x: tf.distribute.get_replica_context().merge_call(lambda strategy, a: a, args=(x,)),
    )
    def test_a_layers_own_exchange(self, function: Callable) -> None:
        self.assert_refused(
            r"layer 'applied' \(Applied\) exchanges data", Applied(function), K.Dense(1), replicas=2
        )
        check(Applied(function), K.Dense(1), replicas=1)


class ForwardModeTest(AuditCase):
    @parameterized.parameters(
        (lambda: K.LSTM(3), "lstm"),
        (lambda: K.GRU(3), "gru"),
        (lambda: K.Bidirectional(K.SimpleRNN(3)), "backward_simple_rnn|forward_simple_rnn"),
        (lambda: Applied(lambda x: tf.map_fn(tf.tanh, x)[:, 0]), "applied"),
        (
            lambda: Applied(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x[:, 0], lambda: x[:, 1])),
            "applied",
        ),
        (lambda: Applied(lambda x: tf.scan(lambda a, b: a + b, x)[:, 0]), "applied"),
    )
    def test_loops_and_conditions(self, layer: Callable, name: str) -> None:
        layers = [layer(), K.Dense(1)]
        self.assert_refused(rf"layer '({name}).*loop or condition.*--penalty=nested_tape", *layers, shape=(4, 2),
                            second_derivatives=True, forward_mode=True)  # fmt: skip
        check(*layers, shape=(4, 2), second_derivatives=True)

    def test_those_that_no_weight_enters_pass(self) -> None:
        check(
            K.Lambda(lambda x: tf.map_fn(tf.tanh, x)), K.Dense(1), second_derivatives=True, forward_mode=True
        )
        check(K.LSTM(3, unroll=True), K.Dense(1), shape=(4, 2), second_derivatives=True, forward_mode=True)


class PythonsRandomTest(AuditCase):
    def test_draws_of_python_and_numpy_are_refused(self) -> None:
        for draw in (random.random, np.random.rand):
            layer = Applied(lambda x, draw=draw: x * (1.0 + draw()))
            self.assert_refused("draws from Python's or NumPy's random generator", layer, K.Dense(1))

    def test_those_of_keras_leave_them_alone(self) -> None:
        check(K.Dropout(0.5), K.GaussianNoise(0.1), K.Dense(1))


class MaxPoolingTest(AuditCase):
    @parameterized.parameters(
        (lambda: K.MaxPooling2D(3, strides=1, padding="same"), IMAGE),
        (lambda: K.MaxPooling2D(1, strides=1), IMAGE),
        (lambda: K.MaxPooling1D(3, strides=1, padding="same"), (4, 2)),
        (lambda: K.MaxPooling3D(2, strides=1, padding="same"), (4, 4, 4, 1)),
        (lambda: K.MaxPooling2D(2, padding="same"), (1, 1, 2)),
        (lambda: K.MaxPooling1D(2, padding="same"), (1, 2)),
        (lambda: Applied(lambda x: tf.nn.max_pool2d(x, 3, 1, [[0, 0], [1, 1], [1, 1], [0, 0]])), IMAGE),
    )
    def test_without_shrinking_it_has_no_exact_product(self, pool: Any, shape: tuple[int, ...]) -> None:
        layers = (K.Dense(2), pool(), K.Flatten(), K.Dense(1))
        self.assert_refused("maxima without shrinking", *layers, shape=shape, second_derivatives=True)
        check(*layers, shape=shape)

    @parameterized.parameters(
        (2, 2, "valid", IMAGE),
        (3, 1, "valid", IMAGE),
        (3, 2, "same", IMAGE),
        (2, 2, "same", (1, 2, 2)),
        (2, 2, "same", (None, None, 2)),
    )
    def test_where_it_shrinks_it_has(
        self, size: int, strides: int, padding: str, shape: tuple[int | None, ...]
    ) -> None:
        pool = K.MaxPooling2D(size, strides=strides, padding=padding)
        layers = (K.Dense(2), pool, K.GlobalAveragePooling2D(), K.Dense(1))
        check(*layers, shape=shape, second_derivatives=True)

    @parameterized.parameters(
        (lambda: K.MaxPooling1D(2), (4, 2), True),
        (lambda: K.MaxPooling2D(2), IMAGE, True),
        (lambda: K.MaxPooling3D(2), (2, 2, 2, 1), True),
        (lambda: Applied(lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")[0]), IMAGE, True),
        (
            lambda: Applied(lambda x: tf.map_fn(lambda i: tf.nn.max_pool(i[None], 2, 2, "VALID")[0], x)),
            IMAGE,
            True,
        ),
        (lambda: K.GlobalMaxPooling2D(keepdims=True), IMAGE, False),
        (lambda: K.AveragePooling2D(2), IMAGE, False),
    )
    def test_every_kind_is_found(self, pool: Callable, shape: tuple[int, ...], found: bool) -> None:
        self.assertEqual(check(pool(), K.Flatten(), K.Dense(1), shape=shape).has_max_pooling, found)


class AugmentationTest(parameterized.TestCase):
    """A user's augmentation_function: a function of (inputs, sample_ids, epoch), or refused."""

    INPUTS = tf.TensorSpec([None, 4], tf.float32)

    def test_functions_of_their_arguments_pass(self) -> None:
        def shifted(x: tf.Tensor, ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            noise = tf.random.stateless_normal([4], tf.stack([ids[0], epoch]))
            return x + noise

        audit.check_augmentation(shifted, self.INPUTS)

    @parameterized.parameters(
        (lambda x, ids, epoch: x + tf.random.normal(tf.shape(x)), "RandomStandardNormal"),
        (lambda x, ids, epoch: tf.map_fn(lambda row: row * tf.random.uniform([]), x), "RandomUniform"),
        (lambda x, ids, epoch: x + keras.random.normal((4,)), "Assign"),
        (lambda x, ids, epoch: x + random.random(), "Python's or NumPy's"),
        (lambda x, ids, epoch: x + np.random.normal(size=4).astype("float32"), "Python's or NumPy's"),
    )
    def test_draws_from_a_state_are_refused(self, augmentation: Callable, words: str) -> None:
        with self.assertRaisesRegex(UserError, f"^The augmentation_function.*{words}") as caught:
            audit.check_augmentation(augmentation, self.INPUTS)
        self.assertLen(str(caught.exception).splitlines(), 1)

    def test_a_counter_is_refused(self) -> None:
        calls = tf.Variable(0.0)

        def counted(x: tf.Tensor, ids: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
            return x + calls.assign_add(1.0)

        with self.assertRaisesRegex(UserError, "The augmentation_function uses AssignAddVariableOp"):
            audit.check_augmentation(counted, self.INPUTS)


if __name__ == "__main__":
    tf.test.main()
