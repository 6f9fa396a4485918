"""What a run takes of the memory of a cluster's nodes and devices, and what to do where it is not there."""

from dataclasses import dataclass

import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.resident import held_bytes
from tf_fullbatch.data.shares import MEMORY_SHARE
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.data.stream import in_flight_bytes
from tf_fullbatch.errors import UserError
from tf_fullbatch.run.memory import (
    DOES_NOT_FIT,
    folder_bytes,
    host_advice,
    network_advice,
    network_memory,
    network_text,
    size_text,
)
from tf_fullbatch.run.splits import Splits, evaluation_batches, training_batches
from tf_fullbatch.scaling.cluster import Cluster
from tf_fullbatch.training.drivers import WORKERS_STREAM
from tf_fullbatch.training.full_batch_model import FullBatchModel


@dataclass(frozen=True, kw_only=True, slots=True)
class _Samples:
    """What a set takes: bytes of its arrays on each node, of it on each device, and on its way on each node."""

    host: int
    held: int
    in_flight: int


def cluster_memory_rows(
    config: Config, model: FullBatchModel, splits: Splits, cluster: Cluster
) -> list[tuple[str, str]]:
    """The rows of a plan that speak of memory, where it is that of a cluster of devices with memory of their own.

    Args:
        config: The run.
        model: Built and compiled.
        splits: Its samples; each node has all of them.
        cluster: Where.

    Raises:
        UserError: Samples should stay on the devices of several workers.
    """
    if cluster.workers > 1 and config.runtime.keeps_data_on_device:
        raise UserError(WORKERS_STREAM)
    network = network_memory(model)
    in_files = _stays_in_files(config, splits, cluster)
    sets = _sets(config, splits, cluster, in_files)
    arrays, in_flight = sum(one.host for one in sets.values()), sum(one.in_flight for one in sets.values())
    held = sum(one.held for one in sets.values())
    there, memory = cluster.host_memory, cluster.device.memory
    if there is None or memory is None:
        raise ValueError(f"{cluster.kind} has no memory of its own")
    decoded = ", decoded ahead of the devices" if in_files else ""
    listed = ", ".join(f"{name} {size_text(one.host)}" for name, one in sets.items())
    way = f", and {size_text(in_flight)} on their way{decoded}" if in_flight else ""
    rows = [
        ("host memory", f"{size_text(arrays)} of samples per node: {listed}{way}; of {size_text(there)}"),
        (
            "device memory",
            f"about {size_text(network.total + held)} per device, of {size_text(memory)}: {network_text(network)}, "
            f"samples {size_text(held)}",
        ),
    ]
    if arrays + in_flight > there:
        rows.append((DOES_NOT_FIT, _host_advice(config, arrays + in_flight - there, in_flight, there)))
    if network.total + held > memory:
        lacking = network.total + held - memory
        rows.append((DOES_NOT_FIT, f"on a device, {network_advice(config, network, lacking, held)}"))
    return rows


def _sets(config: Config, splits: Splits, cluster: Cluster, in_files: bool) -> dict[str, _Samples]:
    """Set -> what it takes."""
    batches = {"training": training_batches(config, splits.train)}
    batches |= {name: evaluation_batches(config, split) for name, split in splits.evaluated.items()}
    return {name: _samples(config, samples, cluster, in_files) for name, samples in batches.items()}


def _samples(config: Config, samples: UpdateBatches, cluster: Cluster, in_files: bool) -> _Samples:
    images = sum(array.nbytes for array in tf.nest.flatten(samples.inputs)) if in_files else 0
    stays = _stays(samples, cluster, in_files)
    size = config.step.micro_batch_size
    return _Samples(
        host=samples.nbytes - samples.sample_ids.nbytes - images,
        held=held_bytes(samples, cluster.replicas) if stays else 0,
        in_flight=0 if stays else in_flight_bytes(samples, size, cluster.devices, "GPU"),
    )


def _stays(samples: UpdateBatches, cluster: Cluster, in_files: bool) -> bool:
    """Whether a set stays on the devices, as `training.drivers.stay_on_devices` decides it there."""
    if cluster.workers > 1:
        return False
    if samples.on_device is not None:
        return samples.on_device
    memory = cluster.device.memory
    return not in_files and memory is not None and samples.nbytes <= MEMORY_SHARE * memory


def _stays_in_files(config: Config, splits: Splits, cluster: Cluster) -> bool:
    """Whether a folder's images stay in their files on a node."""
    source = config.data.chosen_dataset
    if not isinstance(source, ImageFolder):
        return False
    return source.streams(folder_bytes(config, splits), cluster.host_memory)


def _host_advice(config: Config, lacking: float, in_flight: int, there: float) -> str:
    if in_flight > there:
        return (
            f"on a node, {size_text(lacking)} of host memory are lacking for samples on their way: lower "
            "--chunk_micro_batches or --micro_batch_size."
        )
    return f"on a node, {host_advice(config, lacking).removesuffix('.')}; nodes with more are given by host_memory=..."
