"""Reading an image-classification set of TensorFlow Datasets (TFDS) into one uint8 array per split."""

import contextlib
import difflib
import functools
import io
import logging
import math
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import logging as absl_logging
from tensorflow_datasets.core.download import downloader

from tf_fullbatch.data.sources.pixels import resize_square
from tf_fullbatch.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]

_READ_BATCH = 256
_DOWNLOAD_RETRIES = 2
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 60


def open_builder(name: str, *, data_dir: str | None, other_names: list[str]) -> tfds.core.DatasetBuilder:
    """The builder of a TFDS set that is prepared, here and now if need be.

    Args:
        name: What `tfds.builder` takes.
        data_dir: Existing folder of prepared sets, or where to prepare one; None is TFDS's default.
        other_names: Names outside TFDS to offer where `name` is unknown.

    Raises:
        UserError: `data_dir` is no readable folder, the set is unknown, or it cannot be prepared.
    """
    builder = _find_builder(name, data_dir, other_names)
    with _quiet():
        _image_and_label(builder)  # before a download that would be in vain
        _prepare(builder, name)
    return builder


def count_training_samples(name: str, *, data_dir: str | None) -> int | None:
    """How many samples a set has to train on, as far as TFDS knows without preparing it; else None.

    Raises:
        UserError: As `open_builder`.
    """
    splits = _find_builder(name, data_dir, []).info.splits
    return splits["train"].num_examples if "train" in splits else None


def _find_builder(name: str, data_dir: str | None, other_names: list[str]) -> tfds.core.DatasetBuilder:
    """The builder of a TFDS set, prepared or not."""
    if data_dir is not None and not (
        pathlib.Path(data_dir).is_dir() and os.access(data_dir, os.R_OK | os.X_OK)
    ):
        raise UserError(f"--data_dir={data_dir} is not a folder that can be read; give an existing one")
    with _quiet():
        try:
            return tfds.builder(name, data_dir=data_dir)
        except (ValueError, AssertionError, OSError) as error:  # a name not found is a ValueError too
            raise UserError(_cannot_open(name, other_names, error)) from error


def num_classes(builder: tfds.core.DatasetBuilder) -> int:
    """Number of classes of the set's label."""
    return builder.info.features[_image_and_label(builder)[1]].num_classes


def class_names(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """Names of the set's classes, by number."""
    return tuple(builder.info.features[_image_and_label(builder)[1]].names)


def read_splits(
    builder: tfds.core.DatasetBuilder, *, image_size: int | None
) -> tuple[Arrays, Arrays | None, str | None]:
    """Reads the training set and what there is to test on: "test", or "validation" if unlabelled.

    Args:
        builder: From `open_builder`.
        image_size: Height and width to bring images to; None leaves them as they are.

    Returns:
        (images, labels) of the training set, the same of the test set, and the name of the
        test set's split; the latter two are None where there is none.
        images: uint8 [samples, height, width, channels]; labels: int32 [samples].

    Raises:
        UserError: No training split, images of varying size without `image_size`, or too little memory.
    """
    splits = builder.info.splits
    if "train" not in splits:
        raise UserError(
            f"the data set {builder.name!r} has no split 'train', only {', '.join(splits)}; choose another"
        )
    test_split = next((s for s in ("test", "validation") if s in splits and _has_labels(builder, s)), None)
    names = ["train"] if test_split is None else ["train", test_split]
    shape = _image_shape(builder, image_size)
    _check_memory(builder.name, sum(splits[s].num_examples for s in names) * math.prod(shape))
    with _quiet():
        arrays = [_read(builder, s, shape) for s in names]
    return arrays[0], arrays[1] if test_split else None, test_split


def _cannot_open(name: str, other_names: list[str], error: Exception) -> str:
    """What to say of a name that TFDS refuses: the close matches, if it is no set's name."""
    known = tfds.list_builders(with_community_datasets=False) + other_names
    base = re.split("[/:]", name.lower())[0]
    if base in known:
        return f"the data set {name!r} cannot be opened ({_first_line(error)}); check its config and version"
    close = difflib.get_close_matches(base, known, n=4)
    hint = f"did you mean {' or '.join(close)}?" if close else "see tensorflow.org/datasets for the names"
    if Path(name).is_dir():
        hint = f"of a folder write {name}/"
    return f"the data set {name!r} is unknown; {hint}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {textwrap.shorten(lines[0], 160) if lines else 'no reason given'}"


def _image_and_label(builder: tfds.core.DatasetBuilder) -> tuple[str, str]:
    """The keys of image and class, by TFDS's own pairing or as the only features of their kind."""
    features = builder.info.features
    kinds = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    items = list(features.items()) if isinstance(features, tfds.features.FeaturesDict) else []
    found = {kind: [key for key, value in items if type(value) is cls] for kind, cls in kinds.items()}
    pair = builder.info.supervised_keys
    if pair and len(pair) == 2 and pair[0] in found["image"] and pair[1] in found["label"]:
        return pair
    if len(found["image"]) == len(found["label"]) == 1:
        return found["image"][0], found["label"][0]
    raise UserError(
        f"the data set {builder.name!r} is not one of image classification: it has "
        f"{len(found['image'])} image and {len(found['label'])} class features, one of each is needed; "
        "choose another"
    )


def _prepare(builder: tfds.core.DatasetBuilder, name: str) -> None:
    """Downloads and prepares the set unless it is there; TFDS removes what a failure leaves half-prepared."""
    try:
        with _fail_fast():
            builder.download_and_prepare()
    except Exception as error:  # of many kinds: network, checksum, disk, missing packages, manual downloads
        where = pathlib.Path(builder.data_dir)
        raise UserError(
            f"the data set {name!r} is not in {where} and could not be downloaded and prepared there "
            f"({_first_line(error)}); give the folder that holds {where.relative_to(builder.data_dir_root)} "
            f"as --data_dir, or run 'tfds build {name} --data_dir=DIR' where there is a network and copy DIR"
        ) from error


@contextlib.contextmanager
def _fail_fast() -> Iterator[None]:
    """Lets downloads give up in seconds; TFDS retries for 200 and sets no time limit on a connection."""
    retries, opener = downloader.MAX_RETRIES, downloader._open_with_requests
    downloader.MAX_RETRIES = _DOWNLOAD_RETRIES
    downloader._open_with_requests = functools.partial(opener, timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS))
    try:
        yield
    finally:
        downloader.MAX_RETRIES, downloader._open_with_requests = retries, opener


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS's log lines away, and its progress bars and prints where nobody sits at a terminal."""
    terminal = sys.stderr.isatty()
    tfds.display_progress_bar(terminal)
    verbosity, urllib3 = absl_logging.get_verbosity(), logging.getLogger("urllib3")
    level = urllib3.level
    absl_logging.set_verbosity(absl_logging.ERROR)
    urllib3.setLevel(logging.ERROR)
    try:
        with contextlib.nullcontext() if terminal else contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl_logging.set_verbosity(verbosity)
        urllib3.setLevel(level)


def _image_shape(builder: tfds.core.DatasetBuilder, image_size: int | None) -> tuple[int, int, int]:
    """(height, width, channels) that every image is to have."""
    feature = builder.info.features[_image_and_label(builder)[0]]
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


def _has_labels(builder: tfds.core.DatasetBuilder, split: str) -> bool:
    """Whether the split's first example carries a class; TFDS writes -1 where labels are withheld."""
    image, label = _image_and_label(builder)
    with _quiet():
        examples = _examples(builder, split, decoders={image: tfds.decode.SkipDecoding()}).take(1)
        return any(int(example[label]) >= 0 for example in examples)


def _read(builder: tfds.core.DatasetBuilder, split: str, shape: tuple[int, int, int]) -> Arrays:
    """Decodes a split into one preallocated array, in the order of the samples' ids where they have any."""
    image, label = _image_and_label(builder)
    features = builder.info.features
    with_ids = "id" in features and isinstance(features["id"], tfds.features.Text)

    def pick(example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        pixels = example[image]
        if pixels.shape != shape:
            pixels = resize_square(pixels, shape[0])
        return tf.ensure_shape(pixels, shape), example[label], example["id"] if with_ids else ""

    count = builder.info.splits[split].num_examples
    images = np.empty((count, *shape), np.uint8)
    labels = np.empty(count, np.int32)
    ids: list[bytes] = []
    examples = _examples(builder, split).map(pick, num_parallel_calls=os.cpu_count()).batch(_READ_BATCH)
    for some_images, some_labels, some_ids in examples:
        here = slice(len(ids), len(ids) + len(some_labels))
        images[here], labels[here] = some_images, some_labels
        ids.extend(some_ids.numpy())
    if len(ids) != count:
        raise UserError(
            f"the data set {builder.name!r} has {len(ids)} of {count} samples in '{split}'; prepare it anew"
        )
    if count and labels.min() < 0:
        raise UserError(
            f"the data set {builder.name!r} has samples without a label in {split!r}; choose another"
        )
    order = _id_order(ids, split)
    if order is not None:
        labels = labels[order]
        _reorder(images, order)
    return images, labels


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
