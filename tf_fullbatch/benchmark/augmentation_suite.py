"""--suite=augmentation: full-batch steps with each augmentation beside steps without."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.benchmark import loops, timing, workloads
from tf_fullbatch.benchmark.comparisons import AUGMENTED, MOST_OF_AUGMENTATION, Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Passes, Progress, Timing
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.core.micro_batch import augmented
from tf_fullbatch.data.batches import UpdateBatches, micro_batch
from tf_fullbatch.display.text import format_table
from tf_fullbatch.training.full_batch_model import FullBatchModel

COLUMNS = ("augmentation", "s/step", "x without", "wanted", "alone, ms/micro-batch", "x, by processor time")
NONE = "none"


def measure(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """A row of each augmentation, see `results`."""
    work = Workload(
        model=options.model,
        image_size=options.image_size,
        samples=options.samples,
        micro_batch_size=options.micro_batch_size,
    )
    data, net = workloads.random_data(work), workloads.network(work)
    texts = {name: text for name, text in AUGMENTED.items() if not options.rows or name in options.rows}
    steps, alone = {NONE: _steps(net, work, data, NONE)}, {}
    for name, text in texts.items():
        steps[name] = _steps(net, work, data, text)
        alone[name] = _alone(work, data, text)
    of_steps = timing.measure(steps, options.repeats, progress)
    of_alone = timing.measure(alone, options.repeats, progress, options.seconds)
    return results(texts, of_steps, of_alone, micro_batches=-(-work.samples // work.micro_batch_size))


def results(
    texts: Mapping[str, str],
    steps: Mapping[str, Sequence[Timing]],
    alone: Mapping[str, Sequence[Timing]],
    micro_batches: int,
) -> list[dict[str, Any]]:
    """One dictionary for each augmentation; ratios are medians over rounds.

    Args:
        texts: Name -> list.
        steps: Name -> a step of each round, without any under `NONE`.
        alone: Name -> the augmentation of one micro-batch by itself, of each round. Its share of a step is that of the
            processor's time, which other processes disturb less than the clock.
        micro_batches: Of a step.
    """
    seconds, of_alone, rows = timing.seconds_of(steps), timing.seconds_of(alone), []
    for name, text in texts.items():
        share = [
            1 + micro_batches * one.cpu_seconds / step.cpu_seconds
            for one, step in zip(alone[name], steps[NONE], strict=True)
        ]
        rows.append(
            {
                "name": name,
                "augmentation": text,
                "seconds": timing.spread(seconds[name]).median,
                "ratio": timing.spread(timing.ratios(seconds[name], seconds[NONE])).median,
                "wanted": MOST_OF_AUGMENTATION,
                "alone_seconds": timing.spread(of_alone[name]).median,
                "alone_ratio": timing.spread(share).median,
            }
        )
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`results` as a table."""
    cells = [
        (
            r["augmentation"],
            f"{r['seconds']:.4g}",
            f"{r['ratio']:.3f}",
            f"<= {r['wanted']:.2f}",
            f"{1000 * r['alone_seconds']:.3g}",
            f"{r['alone_ratio']:.3f}",
        )
        for r in rows
    ]
    return format_table(COLUMNS, cells, "<" + ">" * (len(COLUMNS) - 1))


def _steps(net: Any, work: Workload, data: workloads.Data, text: str) -> Passes:
    settings = StepConfig.of(augmentation=text)
    model = FullBatchModel(net, augmentation=text, micro_batch_size=work.micro_batch_size)
    model.compile(optimizer=loops.optimizer(work), loss=SparseCrossentropy())
    batches = UpdateBatches(*data, mixes=settings.mixing is not None)
    return loops.timed(lambda passes: model.fit(batches, epochs=passes, verbose=0))


def _alone(work: Workload, data: workloads.Data, text: str) -> Passes:
    """The first micro-batch augmented by one compiled function."""
    settings = StepConfig.of(augmentation=text)
    batches = UpdateBatches(*data, mixes=settings.mixing is not None)
    augment = settings.build_augmentation(data[0].shape[1:], data[0].dtype.name)
    mix = None if settings.mixing is None else settings.mixing.build_mix(settings.seed)
    rows = tf.nest.map_structure(tf.constant, batches.with_partners(np.arange(work.micro_batch_size), 0))
    batch = micro_batch(rows, tf.constant(0, tf.int64))

    @tf.function(autograph=False)
    def made(epoch: tf.Tensor) -> tf.Tensor:
        return augmented(batch, epoch, augment, mix).inputs

    def run(passes: int) -> None:
        for epoch in range(passes):
            images = made(tf.constant(epoch, tf.int64))
        images.numpy()

    return loops.timed(run)
