"""Reading a set of TensorFlow Datasets (TFDS): images into one uint8 array per split, or texts."""

import math
import os
import re
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_fullbatch.data.sources.pixels import resize_square
from tf_fullbatch.data.sources.tfds_builder import Keys, quiet
from tf_fullbatch.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]

_READ_BATCH = 256


def read_splits(
    builder: tfds.core.DatasetBuilder, keys: Keys, *, image_size: int | None
) -> tuple[Arrays, Arrays | None, str | None]:
    """Reads the training set and what there is to test on: "test", or "validation" if unlabelled.

    Args:
        builder: From `tfds_builder.open_builder`.
        keys: What of a sample is its image, and its class.
        image_size: Height and width to bring images to; None leaves them as they are.

    Returns:
        (images, labels) of the training set, the same of the test set, and the name of the
        test set's split; the latter two are None where there is none.
        images: uint8 [samples, height, width, channels]; labels: int32 [samples].

    Raises:
        UserError: No training split, images of varying size without `image_size`, too little memory, samples without a
            label or with one out of range, or an image that does not decode.
    """
    splits = builder.info.splits
    names, test_split = split_names(builder, keys)
    shape = _image_shape(builder, keys, image_size)
    _check_memory(builder.name, sum(splits[s].num_examples for s in names) * math.prod(shape))
    with quiet():
        arrays = [_read(builder, keys, s, shape) for s in names]
    return arrays[0], arrays[1] if test_split else None, test_split


def read_texts(
    builder: tfds.core.DatasetBuilder, keys: Keys
) -> tuple[dict[str, list[bytes]], dict[str, np.ndarray], str | None]:
    """Reads the texts of the training set and of what there is to test on, as `read_splits`.

    Returns:
        Split ("train", "test") -> texts in UTF-8, in TFDS' own order; split -> int32 `[samples]`, their classes; and
        the name of the test set's split.

    Raises:
        UserError: No training split, samples without a label or with one out of range.
    """
    names, test_split = split_names(builder, keys)
    texts, labels = {}, {}
    with quiet():
        for split, name in zip(("train", "test"), names, strict=False):
            examples = [(e[keys.inputs].numpy(), int(e[keys.label])) for e in _examples(builder, name)]
            texts[split] = [text for text, _ in examples]
            labels[split] = np.array([label for _, label in examples], np.int32)
            _check_labels(builder, keys, name, labels[split])
    return texts, labels, test_split


def split_names(builder: tfds.core.DatasetBuilder, keys: Keys) -> tuple[list[str], str | None]:
    """The splits to read, "train" first, and that of them which is tested on; None where there is none.

    Raises:
        UserError: There is no training split.
    """
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(
            f"the data set {builder.name!r} has no split 'train', only {', '.join(splits)}; choose another"
        )
    test_split = next(
        (s for s in ("test", "validation") if s in splits and _has_labels(builder, keys, s)), None
    )
    return ["train"] if test_split is None else ["train", test_split], test_split


def _image_shape(
    builder: tfds.core.DatasetBuilder, keys: Keys, image_size: int | None
) -> tuple[int, int, int]:
    """(height, width, channels) that every image is to have."""
    feature = builder.info.features[keys.inputs]
    height, width, channels = feature.shape
    if feature.np_dtype != np.uint8 or channels is None:
        raise UserError(
            f"the images of {builder.name!r} are not 8-bit with a fixed number of channels; choose another"
        )
    if image_size is not None:
        return image_size, image_size, channels
    if height is None or width is None:
        raise UserError(
            f"the images of {builder.name!r} vary in size; give the one they are brought to: --image_size"
        )
    return height, width, channels


def _check_memory(name: str, needed: int) -> None:
    available = psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"the data set {name!r} takes {needed / 2**30:.1f} GiB of memory as raw pixels, of which "
            f"{available / 2**30:.1f} GiB are available; choose a smaller --image_size or data set"
        )


def _examples(builder: tfds.core.DatasetBuilder, split: str, **kwargs: Any) -> tf.data.Dataset:
    """The split in TFDS's own order, the same in every run."""
    config = tfds.ReadConfig(try_autocache=False, num_parallel_calls_for_decode=os.cpu_count())
    return builder.as_dataset(split=split, shuffle_files=False, read_config=config, **kwargs)


def _has_labels(builder: tfds.core.DatasetBuilder, keys: Keys, split: str) -> bool:
    """Whether the split's first example carries a class; TFDS writes -1 where labels are withheld."""
    with quiet():
        decoders = None if keys.is_text else {keys.inputs: tfds.decode.SkipDecoding()}
        examples = _examples(builder, split, decoders=decoders).take(1)
        return any(int(example[keys.label]) >= 0 for example in examples)


def _read(builder: tfds.core.DatasetBuilder, keys: Keys, split: str, shape: tuple[int, int, int]) -> Arrays:
    """Decodes a split into one preallocated array, in the order of the samples' ids where they have any."""
    features = builder.info.features
    with_ids = "id" in features and isinstance(features["id"], tfds.features.Text)

    def pick(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pixels = example[keys.inputs]
        if pixels.shape != shape:
            pixels = resize_square(pixels, shape[0])
        return tf.ensure_shape(pixels, shape), example[keys.label], example["id"] if with_ids else ""

    count = builder.info.splits[split].num_examples
    images = np.empty((count, *shape), np.uint8)
    labels = np.empty(count, np.int32)
    ids: list[bytes] = []
    examples = _examples(builder, split).map(pick, num_parallel_calls=os.cpu_count()).batch(_READ_BATCH)
    try:
        for some_images, some_labels, some_ids in examples:
            here = slice(len(ids), len(ids) + len(some_labels))
            images[here], labels[here] = some_images, some_labels
            ids.extend(some_ids.numpy())
    except tf.errors.InvalidArgumentError as error:
        raise UserError(_undecodable(builder, keys, split)) from error
    if len(ids) != count:
        raise UserError(
            f"the data set {builder.name!r} has {len(ids)} of {count} samples in '{split}'; prepare it anew"
        )
    _check_labels(builder, keys, split, labels)
    order = _id_order(ids, split)
    if order is not None:
        labels = labels[order]
        _reorder(images, order)
    return images, labels


def _check_labels(builder: tfds.core.DatasetBuilder, keys: Keys, split: str, labels: np.ndarray) -> None:
    """Refuses samples, as read, without a class or of one that the set does not have."""
    name, classes = builder.name, builder.info.features[keys.label].num_classes
    missing = np.flatnonzero(labels < 0)
    if missing.size:
        raise UserError(
            f"the data set {name!r} has {missing.size} samples without a label in {split!r}, the first is number "
            f"{missing[0]}; choose another"
        )
    beyond = np.flatnonzero(labels >= classes)
    if beyond.size:
        raise UserError(
            f"sample {beyond[0]} of {split!r} of the data set {name!r} is of class {labels[beyond[0]]} "
            f"({keys.label!r}), but it has the classes 0 to {classes - 1}; prepare it anew"
        )


def _undecodable(builder: tfds.core.DatasetBuilder, keys: Keys, split: str) -> str:
    """What to say of a split of which an image does not decode: the first of them, in the order of reading."""
    encoded = _examples(builder, split, decoders={keys.inputs: tfds.decode.SkipDecoding()})
    for number, example in enumerate(encoded):
        try:
            tf.io.decode_image(example[keys.inputs], expand_animations=False)
        except tf.errors.InvalidArgumentError:
            return (
                f"sample {number} of {split!r} of the data set {builder.name!r} does not decode as an image; "
                "prepare it anew, or choose another"
            )
    return f"the images of {split!r} of the data set {builder.name!r} are not of one shape; prepare it anew"


def _id_order(ids: list[bytes], split: str) -> np.ndarray | None:
    """The read positions in ascending order of ids such as `train_00042`; None if ids have another form."""
    matches = [re.fullmatch(rf"{split}_(\d+)", value.decode()) for value in ids]
    numbers = [int(match[1]) for match in matches if match]
    if len(set(numbers)) != len(ids):
        return None
    return np.argsort(np.array(numbers, np.int64))


def _reorder(images: np.ndarray, order: np.ndarray) -> None:
    """images[:] = images[order] in place, one cycle of the permutation after the other."""
    done = np.zeros(len(order), bool)
    sources = order.tolist()
    for start in range(len(sources)):
        if done[start]:
            continue
        held, target = images[start].copy(), start
        while sources[target] != start:
            images[target] = images[sources[target]]
            done[target] = True
            target = sources[target]
        images[target] = held
        done[target] = True
