"""What a run takes of memory, on each device and in all, and what to lower where it is not there."""

import math
from dataclasses import dataclass

import keras
import numpy as np
import psutil
import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.resident import device_memory, held_bytes, transfer_bytes
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.data.stream import in_flight_bytes
from tf_fullbatch.run.splits import Splits, evaluation_batches, training_batches
from tf_fullbatch.training.drivers import stay_on_devices
from tf_fullbatch.training.full_batch_model import FullBatchModel


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplesMemory:
    """What a set of samples takes, in bytes.

    Attributes:
        name: The set.
        host: Its arrays in host memory.
        held: What each device holds of it; 0 where it streams.
        transfer: What is there besides while the devices are given it.
        in_flight: What is on its way where it streams.
    """

    name: str
    host: int
    held: int
    transfer: int
    in_flight: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkMemory:
    """What the network takes on each device, in bytes, roughly.

    Attributes:
        weights: Weights and optimizer.
        gradients: Gradients and sums.
        activations: Of a micro-batch.
    """

    weights: int
    gradients: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.activations


DOES_NOT_FIT = "does not fit"
"""Name of the row that a plan has where something does not fit into memory."""


def memory_rows(
    config: Config, model: FullBatchModel, splits: Splits, *, loaded: bool = True
) -> list[tuple[str, str]]:
    """The rows of a plan that speak of memory: (name, text).

    Args:
        config: The run.
        model: Built and compiled.
        splits: Its samples.
        loaded: Whether they are in host memory already; else the run needs room for them, too.
    """
    network, strategy = network_memory(model), model.distribute_strategy
    sets = samples_memory(config, splits, strategy)
    replicas = strategy.num_replicas_in_sync
    on_host = not tf.config.list_physical_devices("GPU")
    held, in_flight = sum(one.held for one in sets), sum(one.in_flight for one in sets)
    transfer = _transfer(sets, replicas)
    device = network.total + held
    free = device_memory()
    # Simulated devices are the host's memory, each with its own copy.
    needed = replicas * device + transfer + in_flight if on_host else device
    to_load = 0 if loaded else sum(one.host for one in sets)
    needed_with = needed + to_load if on_host else needed
    where = f"free on the host, for {replicas} devices" if replicas > 1 else "free on the host"
    rows = [
        ("host memory", f"{size_text(sum(one.host for one in sets))} of samples: {_listed(sets, 'host')}"),
        (
            "device memory",
            f"about {size_text(device)}: {network_text(network)}, {_samples_text(sets, held, in_flight)}",
        ),
        (
            "peak memory",
            f"about {size_text(needed_with)} {'with' if to_load and on_host else 'beside'} the samples' arrays"
            + (f" ({size_text(transfer)} of it while samples are copied)" if transfer and on_host else "")
            + f", of {size_text(free)} {where if on_host else 'that TensorFlow may take of a GPU'}",
        ),
    ]
    saved = replicas * held + transfer if on_host else held
    room = psutil.virtual_memory().available
    if needed_with > free:
        arrays = to_load if on_host else 0
        rows.append((DOES_NOT_FIT, network_advice(config, network, needed_with - free, saved, arrays)))
    elif to_load > room:
        rows.append((DOES_NOT_FIT, host_advice(config, to_load - room)))
    return rows


def samples_memory(config: Config, splits: Splits, strategy: tf.distribute.Strategy) -> list[SamplesMemory]:
    """Memory of the training samples and of those evaluated, in the order in which they are given to the devices."""
    batches = {"training": training_batches(config, splits.train)}
    batches |= {name: evaluation_batches(config, split) for name, split in splits.evaluated.items()}
    sets: list[SamplesMemory] = []
    streams = _would_stream(config, list(batches.values()))
    replicas = strategy.num_replicas_in_sync
    for name, samples in batches.items():
        in_files = tf.nest.flatten(samples.inputs) if streams else samples.in_files
        stays = stay_on_devices(samples, strategy, taken=replicas * sum(one.held for one in sets))
        sets.append(
            SamplesMemory(
                name=name,
                host=samples.nbytes - samples.sample_ids.nbytes - sum(images.nbytes for images in in_files),
                held=held_bytes(samples, replicas) if stays else 0,
                transfer=transfer_bytes(samples, replicas) if stays else 0,
                in_flight=0 if stays else in_flight_bytes(samples, config.step.micro_batch_size, replicas),
            )
        )
    return sets


def folder_bytes(config: Config, splits: Splits) -> int:
    """Bytes of all images of the run, once decoded."""
    train = training_batches(config, splits.train)
    every = (train, *(evaluation_batches(config, split) for split in splits.evaluated.values()))
    return sum(images.nbytes for samples in every for images in tf.nest.flatten(samples.inputs))


def _would_stream(config: Config, sets: list[UpdateBatches]) -> bool:
    """Whether these are blank images in the place of a folder's that is not there, which would stay in their files."""
    source = config.data.chosen_dataset
    is_blank = all(isinstance(one.inputs, np.ndarray) and not any(one.inputs.strides) for one in sets)
    return (
        isinstance(source, ImageFolder)
        and is_blank
        and source.streams(sum(one.inputs.nbytes for one in sets))
    )


def network_memory(model: FullBatchModel) -> NetworkMemory:
    """Memory of a built and compiled model in training."""
    settings, network = model.settings, model.network
    widened = 2 if settings.accumulate_dtype == "float64" and keras.config.floatx() == "float32" else 1
    directions = {"none": 0, "nested_tape": 1, "central_differences": 4}.get(settings.penalty, 3)
    if settings.perturbation != "none":
        directions = 3  # what the first gradient gives, the second, and shifted weights
    full_gradient = bool(settings.full_gradient_penalty_strength)
    factor = 1 if settings.penalty in ("none", "forward_differences", "central_differences") else 2.5
    trainable = sum(_bytes(v) for v in network.trainable_variables)
    return NetworkMemory(
        weights=sum(_bytes(v) for v in [*network.variables, *model.optimizer.variables]),
        gradients=trainable * (2 + widened + directions + full_gradient),
        activations=int(factor * _activation_bytes(network, settings.max_up * settings.micro_batch_size)),
    )


def network_text(network: NetworkMemory) -> str:
    """What takes the network's memory."""
    return (
        f"weights and optimizer {size_text(network.weights)}, gradients and sums {size_text(network.gradients)}, "
        f"activations of a micro-batch {size_text(network.activations)}"
    )


def size_text(count: float) -> str:
    """Bytes in words, such as "45.2 MB"."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(len(units) - 1, int(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {units[power]}"


def _transfer(sets: list[SamplesMemory], replicas: int) -> int:
    """Bytes beyond those of all samples held that the host needs at most while one set after the other is copied."""
    held = [replicas * one.held for one in sets]
    peaks = [sum(held[: i + 1]) + one.transfer for i, one in enumerate(sets)]
    return max(0, max(peaks) - sum(held))


def _samples_text(sets: list[SamplesMemory], held: int, in_flight: int) -> str:
    texts = []
    if held:
        staying = [one for one in sets if one.held]
        texts.append(f"samples {size_text(held)} ({_listed(staying, 'held')})")
    if in_flight:
        names = " and ".join(one.name for one in sets if one.in_flight)
        texts.append(f"{names} samples stream, {size_text(in_flight)} on their way")
    return ", ".join(texts)


def _listed(sets: list[SamplesMemory], what: str) -> str:
    return ", ".join(f"{one.name} {size_text(getattr(one, what))}" for one in sets)


def host_advice(config: Config, lacking: float) -> str:
    """What to do where the samples' arrays alone do not fit into a host's memory."""
    source = config.data.chosen_dataset
    short = f"{size_text(lacking)} of host memory are lacking: "
    if isinstance(source, ImageFolder):
        return f"{short}leave the images in their files, by --stream_images=on, or choose a smaller --image_size."
    return (
        f"{short}give the images as a folder, which stay in their files (--dataset=FOLDER/ --stream_images=on), or "
        "fewer samples by --train_size."
    )


def network_advice(
    config: Config, network: NetworkMemory, lacking: float, samples: float, arrays: float = 0
) -> str:
    """What to lower.

    Args:
        config: The run.
        network: The network's part.
        lacking: Bytes that are needed and not there.
        samples: Bytes that would be free if all samples streamed.
        arrays: Bytes that would be free if images stayed in their files.
    """
    short = f"{size_text(lacking)} are lacking: "
    if samples >= lacking:
        return f"{short}let the samples stream, by --data_on_device=off."
    if arrays >= lacking:
        return host_advice(config, lacking)
    if network.activations >= network.gradients + network.weights:
        smaller = max(1, config.step.micro_batch_size // 2)
        return f"{short}lower --micro_batch_size={config.step.micro_batch_size}, for instance to {smaller}."
    return f"{short}choose a smaller --model, or an --optimizer or --penalty that keeps fewer copies of the weights."


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
