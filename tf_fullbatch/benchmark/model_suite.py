"""--suite=models: images per second and peak memory of every network, each in a process of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark import device, fresh_process, timing
from tf_fullbatch.benchmark.options import IMAGE_MODELS, Options
from tf_fullbatch.benchmark.tables import mebibytes
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import RunError

_IMAGES = 16
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
                "images_per_second": _IMAGES / found["seconds"],
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


def model_steps(*, model: str, image_size: int, seconds: float) -> dict[str, Any]:
    """`seconds` per step, trainable `parameters`, and the `peak` of this process: the device's where there is a GPU."""
    from tf_fullbatch.benchmark import loops, workloads
    from tf_fullbatch.benchmark.comparisons import Workload
    from tf_fullbatch.models.build import build_network

    work = Workload(model=model, samples=_IMAGES, micro_batch_size=_IMAGES, image_size=image_size)
    side = work.image_size
    net = build_network(
        model,
        input_shape=(side, side, work.channels),
        num_classes=work.num_classes,
        pixel_mean=[0.5] * work.channels,
        pixel_std=[0.29] * work.channels,
    )
    run = loops.full_batch_fit(net, work, workloads.random_data(work))
    (timed,) = timing.measure({"fit": run}, 1, lambda text: None, seconds)["fit"]
    peaks = device.peaks()
    parameters = sum(variable.value.shape.num_elements() for variable in net.trainable_variables)
    return {
        "seconds": timed.seconds,
        "parameters": parameters,
        "peak": peaks.host if peaks.device is None else peaks.device,
    }


def _of(model: str, options: Options) -> dict[str, Any]:
    arguments = {"model": model, "image_size": options.image_size, "seconds": options.seconds}
    return fresh_process.call("model_steps", arguments)
