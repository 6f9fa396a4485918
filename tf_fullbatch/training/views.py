"""Several views of each image in inference: mirrored, moved by a pixel; what the network says of them, averaged."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.losses import link
from tf_fullbatch.core.micro_batch import as_full_precision

Outputs = Callable[[keras.Model, Any], Any]
"""Maps (network, inputs) to the network's outputs in inference, at least float32."""

_MOVES = {"flip": {0: 1.0}, "flip_translate": {0: 0.5, 1: 0.25, -1: 0.25}}
"""Setting -> pixels that images are moved by, down and to the right, -> what a view counts for."""


def outputs_in_inference(settings: StepConfig, loss: Any) -> Outputs:
    """How outputs are made as the settings say.

    Args:
        settings: The model's.
        loss: What it is compiled with: of the logits of a cross-entropy, probabilities are averaged, else outputs.
    """
    if settings.flip_averaging:
        return mirror_average
    if settings.test_time_augmentation == "none":
        return _plain
    moves, of = _MOVES[settings.test_time_augmentation], link(loss)
    return lambda network, inputs: view_average(network, inputs, moves, of)


def mirror_average(network: keras.Model, inputs: tf.Tensor) -> tf.Tensor:
    """Mean of the network's outputs, at least float32, for images `[batch, height, width, channels]` and their
    mirror images."""
    outputs = as_full_precision(network(inputs, training=False))
    return (outputs + as_full_precision(network(tf.reverse(inputs, axis=[2]), training=False))) / 2


def view_average(
    network: keras.Model, inputs: tf.Tensor, moves: dict[int, float], link: str | None
) -> tf.Tensor:
    """Outputs averaged over moved images and their mirror images.

    Of the logits z_k of views that count for w_k it is log sum_k w_k softmax(z_k), or log(p / (1 - p)) with
    p = sum_k w_k sigmoid(z_k): logits of the mean probability.

    Args:
        network: Of one output `[batch, outputs]`.
        inputs: Images `[batch, height, width, channels]`.
        moves: Pixels down and to the right, -1, 0 or 1, -> what such a view counts for; what comes in is reflected.
        link: "softmax" or "sigmoid" where outputs are logits of such probabilities; None: outputs are averaged.

    Source of the six views: Jordan 2024 (2404.00498), airbench.
    """
    views: list[tuple[tf.Tensor, tf.Tensor]] = []
    for pixels, share in moves.items():
        moved = _moved(inputs, pixels)
        for image in (moved, tf.reverse(moved, axis=[2])):
            outputs = as_full_precision(network(image, training=False))
            views.append((tf.constant(share / 2, outputs.dtype), outputs))

    def mean(of: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        """log sum_k w_k exp(of(z_k))."""
        return tf.reduce_logsumexp(tf.stack([of(z) + tf.math.log(w) for w, z in views]), axis=0)

    if link == "softmax":
        return mean(tf.nn.log_softmax)
    if link == "sigmoid":
        return mean(tf.math.log_sigmoid) - mean(lambda z: tf.math.log_sigmoid(-z))
    return tf.add_n([w * z for w, z in views])


def _moved(images: tf.Tensor, pixels: int) -> tf.Tensor:
    """Images moved down and to the right by -1, 0 or 1 pixels, reflected at the edge, which is not repeated."""
    for axis in (1, 2) if pixels else ():
        side = images.shape[axis]
        places = [1, *range(side - 1)] if pixels > 0 else [*range(1, side), side - 2]
        images = tf.gather(images, places, axis=axis)
    return images


def _plain(network: keras.Model, inputs: Any) -> Any:
    return as_full_precision(network(inputs, training=False))
