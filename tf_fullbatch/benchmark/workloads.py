"""What is timed on: random images, and the networks."""

from typing import Any, NamedTuple

import keras
import numpy as np

from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.models.build import build_network

# Small: the random labels cannot be learnt, and the weights shall stay near where they began.
LEARNING_RATE = 1e-3
MOMENTUM = 0.9


class Data(NamedTuple):
    """Random images and labels.

    Attributes:
        images: uint8 `[samples, height, width, channels]`.
        labels: int32 `[samples]`.
    """

    images: np.ndarray
    labels: np.ndarray


def random_data(work: Workload) -> Data:
    """Independent uniform pixels and labels, the same for the same arguments."""
    random = np.random.default_rng(0)
    shape = (work.samples, work.image_size, work.image_size, work.channels)
    images = random.integers(0, 256, shape, dtype=np.uint8)
    return Data(images, random.integers(0, work.num_classes, work.samples, dtype=np.int32))


def network(work: Workload, **settings: Any) -> keras.Model:
    """The network in the present precision, with the same weights each time."""
    return build_network(
        work.model,
        input_shape=(work.image_size, work.image_size, work.channels),
        num_classes=work.num_classes,
        pixel_mean=[0.5] * work.channels,
        pixel_std=[0.29] * work.channels,
        **settings,
    )
