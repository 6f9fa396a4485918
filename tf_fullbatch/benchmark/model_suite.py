"""--suite=models: images per second and peak memory of every network, each in a process of its own."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark import fresh_process
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.options import IMAGE_MODELS, Options
from tf_fullbatch.benchmark.tables import mebibytes
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import RunError

IMAGES = 16
"""Of a step, in one micro-batch: what the largest networks have memory for."""
_BARE = "linear"
"""The network whose peak is that of TensorFlow and this package, and of next to nothing else."""


def measure(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """Steps of descent on 16 random images.

    Returns:
        For each network `model`, `parameters`, `images_per_second`, the `peak` of its process in bytes and `beyond`,
        how much that is above the linear network's; `failed` in their place where the process did not end well.
    """
    bare = _of(_BARE, options)
    rows = []
    for name in options.rows or IMAGE_MODELS:
        try:
            found = bare if name == _BARE else _of(name, options)
        except RunError as error:
            rows.append({"model": name, "failed": str(error)})
            progress(str(error))
            continue
        rows.append(
            {
                "model": name,
                "parameters": found["parameters"],
                "images_per_second": IMAGES / found["seconds"],
                "peak": found["peak"],
                "beyond": found["peak"] - bare["peak"],
            }
        )
        progress(f"{name}: {rows[-1]['images_per_second']:.4g} images/s, {mebibytes(found['peak'])}")
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`measure` as a table."""
    cells = [
        [row["model"], *[None] * 4]
        if "failed" in row
        else [
            row["model"],
            f"{row['parameters']:,}",
            f"{row['images_per_second']:.4g}",
            mebibytes(row["peak"]),
            mebibytes(row["beyond"]),
        ]
        for row in rows
    ]
    columns = ["model", "parameters", "images/s", "peak", f"beyond {_BARE}"]
    return format_table(columns, cells, "<>>>>")


def _of(model: str, options: Options) -> dict[str, Any]:
    """What `in_process.passes` says of it, and its `peak`: the device's where there is a GPU."""
    work = Workload(model=model, samples=IMAGES, micro_batch_size=IMAGES, image_size=options.image_size)
    found = fresh_process.call("passes", {**dataclasses.asdict(work), "seconds": options.seconds})
    return found | {"peak": found["host"] if found["device"] is None else found["device"]}
