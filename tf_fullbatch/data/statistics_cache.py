"""Statistics of many images in files, computed once: they cost a pass of decoding."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tf_fullbatch.data.encoded import EncodedImages

KEPT_FROM = 10_000
"""Images from which on statistics are kept."""

MeanAndStd = tuple[np.ndarray, np.ndarray]


def kept_statistics(images: EncodedImages, compute: Callable[[EncodedImages], MeanAndStd]) -> MeanAndStd:
    """Mean and standard deviation of images, found in the user's cache or computed, and kept there where they are many.

    A file stands for paths, sizes and times of change of the images' files and how they are decoded (a copy of a folder
    is another one); its checksum must fit what it holds. Where nothing can be written, nothing is kept.

    Args:
        images: In their files.
        compute: What gives mean and std, float64 `[channels]`.
    """
    if len(images) < KEPT_FROM:
        return compute(images)
    path = cache_folder() / f"{images.fingerprint()}.json"
    found = _read(path)
    if found is None:
        found = compute(images)
        _write(path, found)
    return found


def cache_folder() -> Path:
    """Where statistics are kept: below `XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tf_fullbatch" / "statistics"


def _checksum(mean: list[float], std: list[float]) -> str:
    return hashlib.sha256(json.dumps([mean, std]).encode()).hexdigest()


def _read(path: Path) -> MeanAndStd | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        mean, std = held["mean"], held["std"]
        if held["sha256"] == _checksum(mean, std):
            return np.array(mean, np.float64), np.array(std, np.float64)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _write(path: Path, found: MeanAndStd) -> None:
    mean, std = (array.tolist() for array in found)
    text = json.dumps({"mean": mean, "std": std, "sha256": _checksum(mean, std)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError:
        return
