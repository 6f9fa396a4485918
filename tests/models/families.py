"""Every family of networks at its smallest, and its gradients by plain TensorFlow: a table for suites over families."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tests.models.networks import CLASSES, moved_off
from tf_fullbatch.models.base import NetworkSettings
from tf_fullbatch.models.build import network_of
from tf_fullbatch.models.cnn import Cnn
from tf_fullbatch.models.convnext import ConvNeXt
from tf_fullbatch.models.densenet import DenseNet
from tf_fullbatch.models.linear import Linear
from tf_fullbatch.models.mlp import Mlp
from tf_fullbatch.models.nf_resnet import NfResNet
from tf_fullbatch.models.preresnet import PreResNet
from tf_fullbatch.models.pyramidnet import PyramidNet
from tf_fullbatch.models.resnet import ResNet
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.models.text import TextNetwork
from tf_fullbatch.models.vgg import VGG
from tf_fullbatch.models.vit import ViT
from tf_fullbatch.models.wide_resnet import WideResNet

SIDE, LENGTH, VOCABULARY = 8, 6, 9
NORM_MOMENTUM = 0.9
"""Of every BatchNorm here."""


class Tiny(NamedTuple):
    """A network of a family, at the least depth and at a small width, smooth where the family can be.

    Attributes:
        name: What --model names.
        settings: Of the family.
    """

    name: str
    settings: dict[str, Any]


_SMOOTH = {"width": 2, "activation": "softplus"}
FAMILIES: dict[type[NetworkSettings], tuple[Tiny, ...]] = {
    ResNet: (Tiny("resnet_tiny", _SMOOTH),),
    PreResNet: (Tiny("preresnet_tiny", _SMOOTH),),
    WideResNet: (Tiny("wrn10_1", _SMOOTH),),
    PyramidNet: (Tiny("pyramidnet_tiny", _SMOOTH),),
    NfResNet: (Tiny("nf_resnet_tiny", {"width": 2, "activation": "gelu"}),),
    DenseNet: (Tiny("densenet_tiny", {"growth_rate": 2, "activation": "tanh"}),),
    VGG: (Tiny("vgg11", {"width": 1, "activation": "softplus", "conv_bias": False}),),
    ViT: (Tiny("vit_micro", {"width": 4}),),
    ConvNeXt: (Tiny("convnext_micro", {"width": 4}),),
    Cnn: (Tiny("cnn", {"width": 2, "conv_layers": 1, "activation": "tanh"}),),
    Mlp: (Tiny("mlp", _SMOOTH),),
    Linear: (Tiny("linear", {}),),
    TextNetwork: (
        Tiny("text_average", {"width": 3}),
        Tiny("text_mlp", {"width": 3, "activation": "softplus"}),
        Tiny("text_cnn", {"width": 2, "activation": "tanh"}),
    ),
}
"""Family -> its networks in the suites; each network that has layers of its own."""

TINY = {tiny.name: (family, tiny) for family, networks in FAMILIES.items() for tiny in networks}


def built(name: str, seed: int = 0, *, moved: bool = True, **settings: Any) -> keras.Model:
    """A network of `FAMILIES`, under the present dtype policy.

    Args:
        name: Its name.
        seed: Of its initial weights.
        moved: Every weight off its special values, such as zeros, as training would have it.
        **settings: In place of its own.
    """
    family, tiny = TINY[name]
    chosen = ModelConfig.component("model", name, **(settings or tiny.settings))
    config = ModelConfig(model=name, chosen_model=chosen)
    text, channels = family.takes_tokens, 1 if family.takes_tokens else 3
    network = network_of(
        config,
        input_shape=(LENGTH,) if text else (SIDE, SIDE, 3),
        num_classes=CLASSES,
        pixel_mean=(0.5,) * channels,
        pixel_std=(0.25,) * channels,
        seed=seed,
        vocabulary=VOCABULARY if text else None,
    )
    return moved_off(network) if moved else network


def samples(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a network, pixels or tokens, and classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    if TINY[name][0].takes_tokens:
        return generator.integers(0, VOCABULARY, (count, LENGTH), dtype=np.int32), labels
    return generator.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8), labels


class Point(NamedTuple):
    """What plain TensorFlow makes of some samples as one batch.

    Attributes:
        loss: Mean cross-entropy.
        gradient: Of all trainable variables, one vector.
        state: The non-trainable variables after the call, one vector.
    """

    loss: float
    gradient: np.ndarray
    state: np.ndarray


def plain(network: keras.Model, inputs: np.ndarray, labels: np.ndarray, moved: Any = 0.0) -> Point:
    """A training call of a network by Keras' `stateless_call` and one tape; nothing of this package.

    Args:
        network: Whose present values of variables are taken.
        inputs: Of one batch.
        labels: Their classes.
        moved: Vector that is added to the weights.
    """
    theta = unflattened(flat(network.trainable_variables) + moved, network.trainable_variables)
    with tf.GradientTape() as tape:
        tape.watch(theta)
        logits, state = network.stateless_call(theta, network.non_trainable_variables, inputs, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, theta[0].dtype))
        loss = tf.reduce_mean(losses)
    gradient = tape.gradient(loss, theta, unconnected_gradients="zero")
    return Point(float(loss), flat([tf.convert_to_tensor(g) for g in gradient]), flat(state))


def hessian_product(
    network: keras.Model, inputs: np.ndarray, labels: np.ndarray, v: np.ndarray
) -> np.ndarray:
    """`H v` of one batch by central differences of plain gradients of steps h and 2 h, extrapolated to O(h^4)."""

    def difference(step: float) -> np.ndarray:
        return difference_of_gradients(network, inputs, labels, v, step)

    return (4 * difference(2e-4) - difference(4e-4)) / 3


def difference_of_gradients(
    network: keras.Model, inputs: np.ndarray, labels: np.ndarray, v: np.ndarray, length: float
) -> np.ndarray:
    """`(g(theta + e v / 2) - g(theta - e v / 2)) / e` with `e = length / |v|`."""
    e = length / np.linalg.norm(v)
    ahead, behind = (plain(network, inputs, labels, sign * e / 2 * v).gradient for sign in (1, -1))
    return (ahead - behind) / e


def cut(inputs: np.ndarray, labels: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Samples as micro-batches in their order."""
    return [(inputs[i : i + size], labels[i : i + size]) for i in range(0, len(inputs), size)]


def mean_over_samples(parts: Sequence[np.ndarray | float], counts: Sequence[int]) -> Any:
    """The mean of figures of micro-batches, each as often as it has samples."""
    return sum(n * part for n, part in zip(counts, parts, strict=True)) / sum(counts)


def has_batch_norm(network: keras.Model) -> bool:
    """Whether a sample's outputs depend on others of its micro-batch."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in network.layers)


def flat(values: Sequence[Any]) -> np.ndarray:
    """One float64 vector of all numbers."""
    return np.concatenate([np.zeros(0), *(np.ravel(np.asarray(v)).astype(np.float64) for v in values)])


def unflattened(vector: np.ndarray, like: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """The tensors of a vector."""
    ends = np.cumsum([int(np.prod(v.shape)) for v in like])
    parts = np.split(vector, ends[:-1])
    return [tf.constant(np.reshape(p, v.shape), v.dtype) for p, v in zip(parts, like, strict=True)]
