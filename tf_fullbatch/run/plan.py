"""What a run would be: its settings, size, memory and cost, by a micro-batch that is timed."""

import math

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.display.text import format_count, format_duration
from tf_fullbatch.optim.settings import Extension
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy, describe_devices
from tf_fullbatch.run.output_dir import default_output_dir
from tf_fullbatch.training.drivers import stay_on_devices
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.parts import audited, loss_of, use_xla
from tf_fullbatch.training.trainer import sample_specs


def plan(config: Config) -> str:
    """The report of `--dry_run`: loads the data, builds the network, times a micro-batch, writes nothing.

    Raises:
        UserError: As training would.
    """
    parts = build.assemble(config, choose_strategy(config.runtime))
    model, splits = parts.model, parts.splits
    batches = build.training_batches(config, splits.train)
    replicas = parts.strategy.num_replicas_in_sync
    lines = [cli_flags.settings_text(config), ""]
    rows = [("resolved", _resolved(config, model, batches))]
    rows += [("samples", str(splits)), ("devices", describe_devices(parts.strategy))]
    rates = config.learning_rates(batches.batch_size)
    rows += [("appended", _appended(extension)) for extension in config.optimizer.extensions]
    rows += [("learning rate", remark) for remark in rates.remarks()]
    rows += _size(model, batches)
    rows += _cost(config, model, batches, replicas)
    width = max(len(name) for name, _ in rows)
    return "\n".join(lines + [f"{name:<{width}}  {text}" for name, text in rows])


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


def _size(model: FullBatchModel, batches: UpdateBatches) -> list[tuple[str, str]]:
    """Parameters, and memory of host and device in words."""
    weights = sum(_bytes(v) for v in model.network.variables)
    optimizer = sum(_bytes(v) for v in model.optimizer.variables)
    widened = 2 if model.settings.accumulate_dtype == "float64" and keras.config.floatx() == "float32" else 1
    trainable = sum(_bytes(v) for v in model.network.trainable_variables)
    directions = {"none": 0, "nested_tape": 1, "central_differences": 4}.get(model.settings.penalty, 3)
    full_gradient = bool(model.settings.full_gradient_penalty_strength)
    gradients = trainable * (2 + widened + directions + full_gradient)
    activations = _activation_bytes(model.network, model.settings.micro_batch_size)
    factor = 1 if model.settings.penalty in ("none", "forward_differences", "central_differences") else 2.5
    samples = _held_bytes(batches, model.distribute_strategy)
    device = weights + optimizer + gradients + factor * activations + samples
    held = f"samples {_size_text(samples)}" if samples else "samples stream"
    return [
        ("parameters", f"{sum(math.prod(v.shape) for v in model.network.trainable_variables):,} trainable"),
        ("host memory", f"{_size_text(batches.nbytes - batches.sample_ids.nbytes)} of training data"),
        (
            "device memory",
            f"about {_size_text(device)}: weights and optimizer {_size_text(weights + optimizer)}, gradients and sums "
            f"{_size_text(gradients)}, activations of a micro-batch {_size_text(factor * activations)}, {held}",
        ),
    ]


def _held_bytes(batches: UpdateBatches, strategy: tf.distribute.Strategy) -> int:
    """Bytes of the samples that each device holds: its own, or all where their order is drawn; 0 where they stream."""
    if not stay_on_devices(batches, strategy):
        return 0
    return batches.nbytes if batches.shuffle else math.ceil(batches.nbytes / strategy.num_replicas_in_sync)


def _cost(
    config: Config, model: FullBatchModel, batches: UpdateBatches, replicas: int
) -> list[tuple[str, str]]:
    """Steps, gradient evaluations and the time they would take here."""
    epochs, micro_batch_size = config.total_epochs, config.step.micro_batch_size
    step_plan = batches.plan(micro_batch_size, replicas)
    evaluations = config.step.gradient_evaluations
    samples = epochs * len(batches)
    seconds = _micro_batch_seconds(model, batches)
    total = seconds * epochs * len(batches) / micro_batch_size / replicas
    return [
        (
            "steps",
            f"{epochs * step_plan.steps_per_epoch:,} in {epochs:,} passes of {step_plan.steps_per_epoch:,}; "
            f"{step_plan.micro_batches(0):,} micro-batches of {micro_batch_size} per step",
        ),
        (
            "cost",
            f"{format_count(samples)} samples, {evaluations} gradient evaluations each: "
            f"{format_count(samples * evaluations)} gradient evaluations",
        ),
        (
            "time",
            f"about {format_duration(total)} here, evaluations aside: {seconds:.3g} s per micro-batch "
            f"(one measured), {format_count(micro_batch_size * replicas / seconds)} images/s",
        ),
    ]


def _micro_batch_seconds(model: FullBatchModel, batches: UpdateBatches) -> float:
    """Time of one micro-batch once compiled: the second of two steps over one micro-batch per replica."""
    rows = model.settings.micro_batch_size * model.distribute_strategy.num_replicas_in_sync
    few = batches.select(np.arange(min(rows, len(batches))))
    model.fit(few, epochs=model.steps_completed + 2, verbose=0)
    return model.last_step["step_seconds"]


def _activation_bytes(network: keras.Model, micro_batch_size: int) -> int:
    """Outputs of all layers for a micro-batch: what a backward pass keeps, roughly."""
    total = 0
    for layer in network.layers:
        outputs = layer.output if isinstance(layer.output, list) else [layer.output]
        total += sum(math.prod(o.shape[1:]) * np.dtype(_numpy_dtype(o.dtype)).itemsize for o in outputs)
    return total * micro_batch_size


def _numpy_dtype(name: str) -> str:
    return "float16" if name == "bfloat16" else name


def _bytes(variable: keras.Variable) -> int:
    return math.prod(variable.shape) * np.dtype(_numpy_dtype(variable.dtype)).itemsize


def _size_text(count: float) -> str:
    """Bytes in words, such as "45.2 MB"."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {units[power]}"
