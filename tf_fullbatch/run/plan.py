"""What a run would be: its settings, size, memory and cost, by a micro-batch that is timed."""

import math
import sys

import numpy as np

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.display.text import counted, format_count, format_duration
from tf_fullbatch.optim.settings import Extension
from tf_fullbatch.run import build
from tf_fullbatch.run.cluster_memory import cluster_memory_rows
from tf_fullbatch.run.cluster_text import cluster_text
from tf_fullbatch.run.devices import choose_strategy, describe_devices
from tf_fullbatch.run.memory import DOES_NOT_FIT, memory_rows
from tf_fullbatch.run.network_file import refuse_unsavable
from tf_fullbatch.run.output_dir import default_output_dir
from tf_fullbatch.run.splits import Splits, blank_splits, training_batches
from tf_fullbatch.run.work import work_of
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.parts import audited
from tf_fullbatch.training.trainable import loss_of
from tf_fullbatch.training.trainer import sample_specs
from tf_fullbatch.training.xla import use_xla


def plan(config: Config) -> str:
    """The report of `--dry_run`: loads the data, builds the network, times a micro-batch, writes nothing.

    Data of known sizes are not loaded for a cluster, nor where they are a folder that is not there.

    Raises:
        UserError: As training would.
    """
    cluster = config.runtime.planned_cluster
    from_folder = isinstance(config.data.chosen_dataset, ImageFolder)
    blank = blank_splits(config) if from_folder or cluster is not None else None
    parts = build.assemble(config, choose_strategy(config.runtime), splits=blank)
    model, splits = parts.model, parts.splits
    refuse_unsavable(model.network)
    build.refuse_measured(config, parts)
    batches = training_batches(config, splits.train)
    replicas = parts.strategy.num_replicas_in_sync
    lines = [cli_flags.settings_text(config), ""]
    rows = [("resolved", _resolved(config, model, batches))]
    rows += [
        ("samples", _samples(config, splits, known=blank is not None)),
        *(("control", note) for note in splits.notes),
    ]
    rows += [("devices", describe_devices(parts.strategy))]
    rates = config.learning_rates(batches.batch_size)
    rows += [("appended", _appended(extension)) for extension in config.optimizer.extensions]
    rows += [("learning rate", remark) for remark in rates.remarks()]
    trainable = sum(math.prod(v.shape) for v in model.network.trainable_variables)
    rows.append(("parameters", f"{trainable:,} trainable"))
    if cluster is None or cluster.device.memory is None:
        rows += memory_rows(config, model, splits, loaded=blank is None)
    else:
        rows += cluster_memory_rows(config, model, splits, cluster)
    fits = all(name != DOES_NOT_FIT for name, _ in rows)
    timed = (cluster is None or cluster.is_timed_here) and not _asks(model)
    seconds = _micro_batch_seconds(config, model, batches) if timed and fits else None
    rows += _cost(config, model, batches, replicas, seconds)
    if timed and not fits:
        rows.append(("time", "not measured, since it does not fit"))
    if config.runtime.goals:
        goals = " or ".join(f"{name}={limit:g}" for name, limit in config.runtime.goals.items())
        rows.append(("ends earlier", f"after the first pass that reaches {goals}"))
    if config.measures.measure:
        steps_per_epoch = batches.plan(config.step.micro_batch_size, replicas).steps_per_epoch
        rows.append(("measuring", _measuring(config, steps_per_epoch)))
    width = max(len(name) for name, _ in rows)
    lines += [f"{name:<{width}}  {text}" for name, text in rows]
    if cluster is not None and (fits or not cluster.is_timed_here):
        lines += ["", cluster_text(work_of(config, model, splits, seconds), cluster, fits=fits)]
    return "\n".join(lines)


def _samples(config: Config, splits: Splits, *, known: bool) -> str:
    if not known:
        return str(splits)
    folder = isinstance(config.data.chosen_dataset, ImageFolder)
    why = f" (there is no {config.data.dataset}: the published sizes are assumed)" if folder else ""
    return f"{splits}; known sizes, nothing was loaded{why}"


def _resolved(config: Config, model: FullBatchModel, batches: UpdateBatches) -> str:
    """What settings that were left open come to."""
    peak = config.learning_rates(batches.batch_size).peak
    samples = sample_specs(batches)
    _, report = audited(model, loss_of(model, samples), samples)
    xla = "on" if use_xla(model.settings, report) else "off"
    return (
        f"update batch {batches.batch_size:,} of {len(batches):,}, schedule over {config.schedule_epochs:g} epochs, "
        f"peak learning rate {peak:g}, XLA {xla}, output in {config.runtime.output_dir or default_output_dir(config)}"
    )


def _appended(extension: Extension) -> str:
    return (
        f"{extension.epochs:,} passes of --schedule={extension.schedule}, peak learning rate "
        f"{extension.learning_rate:g}, warmup {extension.warmup_epochs:g} epochs"
    )


def _cost(
    config: Config, model: FullBatchModel, batches: UpdateBatches, replicas: int, seconds: float | None
) -> list[tuple[str, str]]:
    """Steps, gradient evaluations and, where a micro-batch was timed, the time they would take here."""
    epochs, micro_batch_size = config.total_epochs, config.step.micro_batch_size
    step_plan = batches.plan(micro_batch_size, replicas)
    steps = (
        "steps",
        f"{epochs * step_plan.steps_per_epoch:,} in {epochs:,} passes of {step_plan.steps_per_epoch:,}; "
        f"{step_plan.micro_batches(0):,} micro-batches of {micro_batch_size} per step",
    )
    if _asks(model):
        unknown = (
            "not known beforehand: a step asks for as many gradient evaluations as it needs (metrics.csv)"
        )
        return [steps, ("cost", unknown)]
    evaluations = config.step.gradient_evaluations
    samples = epochs * len(batches)
    cost = (
        "cost",
        f"{format_count(samples)} samples, {evaluations} gradient evaluations each: "
        f"{format_count(samples * evaluations)} gradient evaluations",
    )
    if seconds is None:
        return [steps, cost]
    total = seconds * epochs * len(batches) / micro_batch_size / replicas
    time = (
        "time",
        f"about {format_duration(total)} here, evaluations aside: {seconds:.3g} s per micro-batch "
        f"(one measured), {format_count(micro_batch_size * replicas / seconds)} samples/s",
    )
    return [steps, cost, time]


def _asks(model: FullBatchModel) -> bool:
    """Whether the method asks for as many evaluations as it needs."""
    return model.trainer.training.steps.functions.descent.asks_objective


def _measuring(config: Config, steps_per_epoch: int) -> str:
    """How often is measured; what a measurement takes depends on what is found."""
    every, ends = config.measures.measure_every, config.stretch_ends
    steps = {
        *range(0, config.total_epochs * steps_per_epoch + 1, every),
        *(e * steps_per_epoch for e in ends),
    }
    return (
        f"{counted(len(steps), 'time')} ({', '.join(config.measures.measure)}; every {counted(every, 'step')}, before "
        "the first and after the last), beside that cost and time"
    )


def _micro_batch_seconds(config: Config, model: FullBatchModel, batches: UpdateBatches) -> float:
    """Time of one micro-batch once compiled: the second of two steps over one micro-batch per replica."""
    if not config.runtime.quiet:
        print(f"timing two micro-batches of {model.settings.micro_batch_size}", file=sys.stderr, flush=True)
    rows = model.settings.micro_batch_size * model.distribute_strategy.num_replicas_in_sync
    few = batches.select(np.arange(min(rows, len(batches))))
    model.fit(few, epochs=model.steps_completed + 2, verbose=0)
    return model.last_step["step_seconds"]
