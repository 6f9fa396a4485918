"""--suite=streaming: passes over JPEGs that stay in their files, beside the same ones decoded into memory."""

import math
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.benchmark import device, fresh_process, timing
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.tables import mebibytes
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.benchmark.whole_runs import passes_of
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.text import format_table

STREAMED, LOADED = "streamed", "loaded"
_SIDES = (375, 500)
"""Of a photograph of ImageNet, most often."""
_QUALITY = 90
_DIFFERENT = 16
_CLASSES = 2
_PART = 8
"""The memory that all images take is compared with that of so many times fewer."""
_PASSES = 2
"""Of those whose memory is measured."""


def measure(options: Options, progress: Progress) -> dict[str, Any]:
    """What streaming takes of time and memory, over a made set of about `--jpeg_megabytes`.

    Returns:
        `images`, `jpeg_bytes`, `decoded_bytes`; `seconds` per pass, streamed and loaded, one per round, and `ratio`
        (median, least, largest) of the two; `peaks`, of processes that stream an eighth of the images and all of them,
        and their `growth`, in bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        least = _PART * max(_CLASSES, options.micro_batch_size)
        images, jpeg_bytes = made_set(Path(folder), options.jpeg_megabytes * 10**6, least)
        progress(f"made {images} JPEGs, {jpeg_bytes / 1e6:.0f} MB")
        settings: dict[str, Any] = {
            "folder": folder,
            "model": options.model,
            "image_size": options.image_size,
            "micro_batch_size": options.micro_batch_size,
        }
        sides = {
            side: passes_of(configuration(**settings, stream_images=on))
            for side, on in ((STREAMED, "on"), (LOADED, "off"))
        }
        seconds = timing.seconds_of(timing.measure(sides, options.repeats, progress, options.seconds))
        peaks = {}
        for count in (images // _PART, images):
            peaks[count] = fresh_process.call("streamed_memory", {**settings, "images": count})["peak"]
            progress(f"{count} images streamed: peak {mebibytes(peaks[count])}")
    return {
        "images": images,
        "jpeg_bytes": jpeg_bytes,
        "decoded_bytes": images * 3 * options.image_size**2,
        "seconds": seconds,
        "ratio": timing.spread(timing.ratios(seconds[STREAMED], seconds[LOADED]))._asdict(),
        "peaks": list(peaks.values()),
        "growth": peaks[images] - peaks[images // _PART],
    }


def table(result: Mapping[str, Any]) -> str:
    """`measure` as a table."""
    milliseconds = [
        1000 * statistics.median(result["seconds"][side]) / result["images"] for side in (STREAMED, LOADED)
    ]
    cells = [
        result["images"],
        *(mebibytes(result[key]) for key in ("jpeg_bytes", "decoded_bytes")),
        *(f"{value:.4g}" for value in milliseconds),
        *(f"{result['ratio'][key]:.3f}" for key in ("median", "least", "largest")),
        "<= 1.15",
        mebibytes(result["growth"]),
        "<= 300 MiB",
    ]
    columns = [
        "images", "JPEGs", "decoded", "ms/image, streamed", "loaded", "ratio", "least", "largest", "wanted",
        "growth of peak", "wanted ",
    ]  # fmt: skip
    return format_table(columns, [cells], ">" * len(columns))


def configuration(
    *, folder: str, model: str, image_size: int, micro_batch_size: int, stream_images: str
) -> Config:
    """A full-batch run over a folder of class folders."""
    return Config().replacing(
        dataset=f"{folder}/",
        model=model,
        image_size=image_size,
        shorter_side=math.ceil(image_size * 8 / 7),  # 256 of 224
        micro_batch_size=micro_batch_size,
        stream_images=stream_images,
        learning_rate=1e-3,  # small: the labels cannot be learnt
        epochs=1,
    )


def streamed_memory(*, images: int, **settings: Any) -> dict[str, int]:
    """`peak`, the bytes of this process after passes over the first so many images, class-balanced."""
    passes_of(configuration(**settings, stream_images="on").replacing(train_size=images))(_PASSES)
    return {"peak": device.peaks().host}


def made_set(folder: Path, size: float, least: int) -> tuple[int, int]:
    """Writes JPEGs into class folders until they take `size` bytes, and are `least` or more.

    A few different pictures over and over, slopes and noise of about a photograph's bytes per pixel.

    Returns:
        How many, and their bytes.
    """
    random = np.random.default_rng(0)
    encoded = []
    for _ in range(_DIFFERENT):
        coarse = random.uniform(0, 255, (12, 16, 3))
        smooth = tf.image.resize(coarse, _SIDES, method="bicubic").numpy()
        pixels = np.clip(smooth + random.normal(0, 12, (*_SIDES, 3)), 0, 255).astype(np.uint8)
        encoded.append(tf.io.encode_jpeg(pixels, quality=_QUALITY).numpy())
    images = written = 0
    while written < size or images < least:
        path = folder / f"class_{images % _CLASSES}" / f"{images:07d}.JPEG"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded[images % _DIFFERENT])
        written += len(encoded[images % _DIFFERENT])
        images += 1
    return images, written
