"""Image files decoded many at a time, by one call of TensorFlow, which holds no lock of Python's meanwhile."""

import functools
from collections.abc import Callable

import tensorflow as tf

from tf_fullbatch import processor
from tf_fullbatch.data.sources import pixels

Decode = Callable[..., tf.Tensor]
"""(paths string `[rows]`, draws uint32 `[rows, 40]` where crops are random) -> uint8 `[rows, height, width, 3]`."""


@functools.cache
def decoder(size: int | None, shorter_side: int | None, random_crops: bool) -> Decode:
    """What decodes at least one file, on threads of its own, one for each core that this process may use.

    Args:
        size: Height and width to bring each image to; None where all have one size.
        shorter_side: As `pixels.resize_and_crop`; None for `pixels.resize_square`.
        random_crops: Whether images are random crops (`pixels.random_resized_crop`) instead.
    """
    threads = processor.cores()

    def one(path: tf.Tensor, draws: tf.Tensor | None = None) -> tf.Tensor:
        image = pixels.decoded(tf.io.read_file(path))
        if size is None:
            return image
        if draws is not None:
            return pixels.random_resized_crop(image, size, draws)
        if shorter_side is not None:
            return pixels.resize_and_crop(image, size, shorter_side)
        return pixels.resize_square(image, size)

    @tf.function(input_signature=_RANDOM if random_crops else _PATHS, autograph=False)
    def decode(paths: tf.Tensor, *draws: tf.Tensor) -> tf.Tensor:
        images = tf.data.Dataset.from_tensor_slices((paths, *draws))
        images = images.map(one, num_parallel_calls=threads, deterministic=True)
        images = images.batch(tf.size(paths, tf.int64))
        return _on_own_threads(images, threads).get_single_element()

    return decode


_PATHS = [tf.TensorSpec([None], tf.string)]
_RANDOM = [*_PATHS, tf.TensorSpec([None, pixels.CROP_DRAWS], tf.uint32)]


def _on_own_threads(dataset: tf.data.Dataset, threads: int) -> tf.data.Dataset:
    """The dataset on threads of its own alone, kept from call to call: the network's may all wait for it.

    `tf.data.Options` do not reach a single element.
    """
    pool = tf.raw_ops.ThreadPoolHandle(
        num_threads=threads,
        max_intra_op_parallelism=1,
        display_name="decode",
        shared_name=f"decode_{threads}",
    )
    made = tf.raw_ops.ThreadPoolDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        thread_pool=pool,
        output_types=[dataset.element_spec.dtype],
        output_shapes=[dataset.element_spec.shape],
    )
    return tf.data.experimental.from_variant(made, dataset.element_spec)
