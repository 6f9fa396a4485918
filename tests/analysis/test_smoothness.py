"""Which networks and losses have third derivatives and no state, by what stock layers and activations are made of."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from absl.testing import parameterized
from keras import layers as K

from tests.core.objectives import ObjectiveCase, asked, random_tree
from tests.core.problems import smooth
from tf_fullbatch.analysis.flows.smoothness import refuse_without_third_derivatives
from tf_fullbatch.core import trees
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.errors import UserError

IMAGE = (6, 6, 2)


def squares(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean((outputs - tf.cast(targets, outputs.dtype)) ** 2, axis=-1)


def check(*layers: K.Layer, shape: tuple[int, ...] = (3,), loss: Any = squares, **wanted: Any) -> None:
    network = keras.Sequential([keras.Input(shape), *layers], name="net")
    inputs = tf.TensorSpec([None, *shape], tf.float32)
    samples = SampleSpecs(inputs, tf.TensorSpec([None, 1], tf.float32))
    refuse_without_third_derivatives(
        NetworkCall(network, inputs), TrainingLoss.of_one(loss), samples, **wanted
    )


class Applied(K.Layer):
    """A function of the inputs multiplied by a weight."""

    def __init__(self, function: Callable[[tf.Tensor], tf.Tensor]):
        super().__init__(name="applied")
        self.function = function

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.function(x * self.w)


class SmoothnessTest(parameterized.TestCase):
    def assert_refused(self, words: str, *layers: K.Layer, **wanted: Any) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            check(*layers, **wanted)
        self.assertLen(str(caught.exception).splitlines(), 1)

    def test_smooth_activations_pass(self) -> None:
        names = (
            "tanh",
            "softplus",
            "gelu",
            "silu",
            "sigmoid",
            "mish",
            "softmax",
            "log_softmax",
            "log_sigmoid",
        )
        check(*(K.Dense(2, activation=name, name=name) for name in names), K.Dense(1))

    @parameterized.parameters(
        ("relu", "Relu", "kink"),
        ("relu6", "Relu6", "kink"),
        ("leaky_relu", "LeakyRelu", "kink"),
        ("elu", "Elu", "second derivative that jumps"),
        ("selu", "Selu", "second derivative that jumps"),
        ("softsign", "Softsign", "second derivative that jumps"),
        ("hard_sigmoid", "", ""),
        ("soft_shrink", "", ""),
        ("celu", "", ""),
    )
    def test_rough_activations_are_named(self, activation: str, operation: str, why: str) -> None:
        words = rf"layer 'hidden' \(Dense\) uses {operation}.*{why}.*no third derivatives.*tanh"
        self.assert_refused(words, K.Dense(4, activation=activation, name="hidden"), K.Dense(1))

    @parameterized.parameters(
        (lambda: K.MaxPooling2D(2, name="pool"), "layer 'pool' .*MaxPool"),
        (lambda: K.GlobalMaxPooling2D(name="pool", keepdims=True), "layer 'pool' .*Max, which chooses"),
        (lambda: K.PReLU(name="p"), "layer 'p' .*PReLU"),
        (lambda: Applied(tf.abs), r"layer 'applied' \(Applied\) uses Abs"),
        (lambda: Applied(lambda x: tf.where(x > 0, x**2, x**3)), "layer 'applied' .*Select.*chooses"),
        (lambda: Applied(lambda x: tf.sort(x, axis=-1)), "layer 'applied' .*TopKV2"),
        (lambda: Applied(lambda x: tf.clip_by_value(x, -1.0, 1.0)), "layer 'applied'"),
        (
            lambda: Applied(lambda x: tf.map_fn(lambda row: tf.nn.relu(row), x)),
            "layer 'applied' .*Relu",
        ),
    )
    def test_other_layers_are_named(self, layer: Callable, words: str) -> None:
        layers = [K.Conv2D(2, 1, activation="tanh"), layer(), K.Flatten(), K.Dense(1)]
        self.assert_refused(words, *layers, shape=IMAGE)

    def test_smooth_layers_pass(self) -> None:
        layers = [
            K.Conv2D(2, 1, activation="tanh"),
            K.AveragePooling2D(2),
            K.LayerNormalization(),
            K.GroupNormalization(2),
            K.RMSNormalization(),
            K.BatchNormalization(trainable=False),
            K.Conv2DTranspose(2, 2, activation="gelu"),
            K.Dropout(0.0),
        ]
        check(*layers, K.Flatten(), K.Dense(1), shape=IMAGE)

    @parameterized.parameters(
        lambda x: x + tf.stop_gradient(tf.nn.relu(x)),
        lambda x: tf.reduce_logsumexp(x, axis=-1, keepdims=True),
        lambda x: tf.where(tf.range(2) > 0, x, 2 * x),
        lambda x: tf.map_fn(tf.tanh, x),
    )
    def test_smooth_functions_pass(self, function: Callable) -> None:
        check(K.Dense(2), Applied(function), K.Dense(1))

    def test_recurrent_and_attention_layers_pass(self) -> None:
        check(K.LSTM(3), K.Dense(1), shape=(4, 2))
        check(K.GRU(3, unroll=True), K.Dense(1), shape=(4, 2))
        inputs = keras.Input((4, 2))
        x = K.MultiHeadAttention(1, 2)(inputs, inputs)
        network = keras.Model(inputs, K.Dense(1)(K.Flatten()(x)))
        spec = tf.TensorSpec([None, 4, 2], tf.float32)
        samples = SampleSpecs(spec, tf.TensorSpec([None, 1], tf.float32))
        refuse_without_third_derivatives(NetworkCall(network, spec), TrainingLoss.of_one(squares), samples)

    def test_what_comes_before_every_weight_does_no_harm(self) -> None:
        check(K.MaxPooling2D(2), K.ReLU(), K.Flatten(), K.Dense(1), shape=IMAGE)

    @parameterized.parameters(
        (lambda: K.BatchNormalization(name="bn"), r"layer 'bn' \(BatchNormalization\) moves.*moving_mean"),
        (lambda: K.Dropout(0.5, name="drop"), r"layer 'drop' \(Dropout\) draws random numbers"),
        (lambda: K.GaussianNoise(0.5, name="noise"), r"layer 'noise' \(GaussianNoise\) draws"),
        (lambda: K.SpectralNormalization(K.Dense(2), name="sn"), "moves the variable"),
    )
    def test_state_and_random_numbers_are_refused(self, layer: Callable, words: str) -> None:
        self.assert_refused(words, K.Dense(2, activation="tanh"), layer(), K.Dense(1))

    def test_random_images_and_augmentation_are_refused(self) -> None:
        flip = K.RandomFlip(name="flip")
        self.assert_refused(r"layer 'flip' \(RandomFlip\) draws", flip, K.Flatten(), K.Dense(1), shape=IMAGE)
        self.assert_refused("augmentation changes", K.Dense(1), augmentation=lambda x, ids, epoch: x)

    @parameterized.parameters(
        (keras.losses.MeanAbsoluteError, "Abs"),
        (keras.losses.Huber, "Abs|Select"),
        (keras.losses.Hinge, "Maximum"),
    )
    def test_rough_losses_are_refused(self, loss: type, words: str) -> None:
        function = loss(reduction=None)
        self.assert_refused(f"network 'net', or its loss, uses ({words})", K.Dense(1), loss=function)

    @parameterized.parameters(
        lambda: keras.losses.MeanSquaredError(reduction=None),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True, reduction=None),
        lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None),
        lambda: keras.losses.LogCosh(reduction=None),
    )
    def test_smooth_losses_pass(self, loss: Callable) -> None:
        check(K.Dense(1), loss=loss())

    def test_cross_entropies_from_logits_pass(self) -> None:
        check(K.Dense(3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None))

    def test_regularizers_are_looked_at(self) -> None:
        check(K.Dense(1, kernel_regularizer="l2"))
        self.assert_refused("uses Abs", K.Dense(1, kernel_regularizer="l1"))


class ThirdDerivativesTest(ObjectiveCase):
    """What passes has third derivatives that are right."""

    STEP = 1e-5

    @parameterized.parameters(
        lambda: [K.LayerNormalization()],
        lambda: [K.GroupNormalization(1), K.Dense(4, activation="gelu")],
        lambda: [K.RMSNormalization(), K.Dense(4, activation="silu")],
    )
    def test_they_are_the_quotients_of_second_ones(self, layers: Callable) -> None:
        problem = smooth(*layers())
        found = asked(problem)
        u, v, w = (random_tree(problem.theta, seed) for seed in (1, 2, 3))

        ahead, behind = (
            float(trees.dot(u, found.hvp(trees.add_scaled(problem.theta, s, w), v)))
            for s in (self.STEP, -self.STEP)
        )
        along = float(trees.dot(w, found.hessian_derivative(None, u, v)))
        self.assertAllClose(along, (ahead - behind) / (2 * self.STEP), rtol=1e-7, atol=1e-8)
        self.assertGreater(abs(along), 1e-3)
