"""The builder of a set of TensorFlow Datasets (TFDS): found, prepared, and what of it is input and class."""

import contextlib
import difflib
import functools
import io
import logging
import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets as tfds
from absl import logging as absl_logging
from tensorflow_datasets.core.download import downloader

from tf_fullbatch.errors import UserError

_DOWNLOAD_RETRIES = 2
_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 60


class Keys(NamedTuple):
    """What a sample is made of.

    Attributes:
        inputs: The key of its image or text.
        label: The key of its class.
        is_text: Whether it is a text.
    """

    inputs: str
    label: str
    is_text: bool


def open_builder(
    name: str, *, data_dir: str | None, label: str | None, other_names: list[str]
) -> tfds.core.DatasetBuilder:
    """The builder of a TFDS set that is prepared, here and now if need be.

    Args:
        name: What `tfds.builder` takes.
        data_dir: Existing folder of prepared sets, or where to prepare one; None is TFDS's default.
        label: The key of the class, see `keys_of`.
        other_names: Names outside TFDS to offer where `name` is unknown.

    Raises:
        UserError: `data_dir` is no readable folder, the set is unknown or of another kind, or it cannot be prepared.
    """
    builder = _find_builder(name, data_dir, other_names)
    with quiet():
        keys_of(builder, label)  # before a download that would be in vain
        _prepare(builder, name)
    return builder


def count_training_samples(name: str, *, data_dir: str | None) -> int | None:
    """How many samples a set has to train on, as far as TFDS knows without preparing it; else None.

    Raises:
        UserError: As `open_builder`.
    """
    splits = _find_builder(name, data_dir, []).info.splits
    return splits["train"].num_examples if "train" in splits else None


def keys_of(builder: tfds.core.DatasetBuilder, label: str | None) -> Keys:
    """The keys of image or text, and class, by TFDS's own pairing or as the only features of their kind.

    Args:
        builder: Of the set.
        label: The key of the class where there are several; None for TFDS's own choice.

    Raises:
        UserError: It has no image or text, no class, or several and nothing says which.
    """
    features = builder.info.features
    items = list(features.items()) if isinstance(features, tfds.features.FeaturesDict) else []
    images = [key for key, value in items if type(value) is tfds.features.Image]
    texts = [key for key, value in items if type(value) is tfds.features.Text]
    labels = [key for key, value in items if type(value) is tfds.features.ClassLabel]
    paired = tuple(builder.info.supervised_keys or ())
    if label is not None and label not in labels:
        raise UserError(
            f"--target={label}: the classes of the data set {builder.name!r} are "
            f"{', '.join(labels) or 'none'}; name one of them, or leave it out"
        )
    inputs = next((key for key in paired[:1] if key in images + texts), None)
    if inputs is None and (len(images) == 1 or (not images and len(texts) == 1)):
        (inputs,) = images or texts  # beside an image, a text may be its id
    chosen = label or next((key for key in paired[1:2] if key in labels), None)
    if chosen is None and len(labels) == 1:
        chosen = labels[0]
    if inputs is not None and len(labels) > 1 and chosen is None:
        raise UserError(
            f"the data set {builder.name!r} has the classes {', '.join(labels)}; name the one to learn by --target"
        )
    if inputs is None or chosen is None:
        raise UserError(
            f"the data set {builder.name!r} is not one of image or text classification: it has {len(images)} image, "
            f"{len(texts)} text and {len(labels)} class features, one of the latter and of the others is needed; "
            "choose another"
        )
    return Keys(inputs, chosen, inputs in texts)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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


def _find_builder(name: str, data_dir: str | None, other_names: list[str]) -> tfds.core.DatasetBuilder:
    """The builder of a TFDS set, prepared or not."""
    if data_dir is not None and not (
        pathlib.Path(data_dir).is_dir() and os.access(data_dir, os.R_OK | os.X_OK)
    ):
        raise UserError(f"--data_dir={data_dir} is not a folder that can be read; give an existing one")
    with quiet():
        try:
            return tfds.builder(name, data_dir=data_dir)
        except (ValueError, AssertionError, OSError) as error:  # a name not found is a ValueError too
            raise UserError(_cannot_open(name, other_names, error)) from error


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
