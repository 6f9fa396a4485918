"""Devices: the precision of this process, the strategy over its devices, and their names."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch import processor
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.display.text import counted
from tf_fullbatch.errors import UserError

_COLLECTIVE_TIMEOUT_SECONDS = 90.0


def set_precision(dtype_policy: str) -> None:
    """Sets Keras' and TensorFlow's precision for this process.

    Args:
        dtype_policy: One of `config.runtime.DTYPE_POLICIES`. "float32" switches TensorFloat-32 off, which
            TensorFlow has on by default.
    """
    keras.config.set_floatx("float64" if dtype_policy == "float64" else "float32")
    keras.config.set_dtype_policy("float32" if dtype_policy == "tf32" else dtype_policy)
    tf.config.experimental.enable_tensor_float_32_execution(dtype_policy == "tf32")


def make_deterministic(seed: int) -> None:
    """Has TensorFlow compute bit for bit the same in every process of this machine, slower where it must.

    Args:
        seed: For random operations without one of their own; this package has none.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def precision(dtype_policy: str) -> Iterator[None]:
    """`set_precision` for a while."""
    with keeping_precision():
        set_precision(dtype_policy)
        yield


@contextlib.contextmanager
def keeping_precision() -> Iterator[None]:
    """Puts Keras' and TensorFlow's precision back at the end."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def choose_strategy(runtime: RuntimeConfig) -> tf.distribute.Strategy:
    """The strategy that the settings ask for; to be called before TensorFlow uses a device.

    `auto` is multi_worker where TF_CONFIG names a cluster, else mirrored where there are several devices to
    mirror over (GPUs, or simulated ones), else one device.

    Raises:
        UserError: Devices or a cluster that are not there.
    """
    if multi_worker(runtime.strategy) is not None:
        if runtime.simulate_devices:
            raise UserError(
                f"--simulate_devices={runtime.simulate_devices} and several workers: a worker without a GPU is one "
                "replica. Leave it out, or start more workers."
            )
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=_COLLECTIVE_TIMEOUT_SECONDS)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    if runtime.simulate_devices:
        _simulate(runtime.simulate_devices)
    devices = _replica_devices(runtime)
    if runtime.strategy == "one_device" or (len(devices) == 1 and runtime.strategy == "auto"):
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy(devices)


def _simulate(count: int) -> None:
    """Makes logical CPUs, so that several replicas can be tried anywhere; GPUs are hidden."""
    tf.config.set_visible_devices([], "GPU")
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        raise UserError(
            f"--simulate_devices={count}: TensorFlow already uses its devices in this process. Start a new one."
        ) from error


def _replica_devices(runtime: RuntimeConfig) -> list[str]:
    """Names of the devices to mirror over: GPUs where there are any, else CPUs; --num_replicas of them."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    wanted = runtime.num_replicas or len(devices)
    if wanted > len(devices):
        kind = devices[0].device_type
        raise UserError(
            f"--num_replicas={wanted}: there are {len(devices)} devices ({kind}). Lower it, or try more on one "
            f"machine by --simulate_devices={wanted}."
        )
    return [device.name for device in devices[:wanted]]


class Worker(NamedTuple):
    """This process' place in a cluster.

    Attributes:
        place: 0 for the chief, which writes the run's folder.
        workers: How many there are.
    """

    place: int
    workers: int


def multi_worker(strategy: str) -> Worker | None:
    """This process' place in the cluster of TF_CONFIG; None where it does not train in one.

    Args:
        strategy: The setting --strategy.

    Raises:
        UserError: TF_CONFIG is missing or cannot be used.
    """
    if strategy not in ("auto", "multi_worker"):
        return None
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        if strategy == "auto":
            return None
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG, which names the cluster and this "
            "worker's place in it (BUILD.md); python -m tf_fullbatch.launch_local sets it on one machine."
        )
    try:
        config = json.loads(text)
        if "cluster" not in config and strategy == "auto":
            return None
        workers, task = config["cluster"]["worker"], config["task"]
        if set(config["cluster"]) != {"worker"} or task["type"] != "worker":
            raise ValueError("only tasks of type 'worker' take part")
        index = int(task["index"])
        if not (isinstance(workers, list) and 0 <= index < len(workers)):
            raise ValueError(f"there is no worker {index} among {len(workers)}")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"TF_CONFIG={text[:80]}: {reason}. Give it as BUILD.md shows, or --strategy=one_device or mirrored."
        ) from error
    return Worker(index, len(workers))


def is_chief(strategy: str) -> bool:
    """Whether this process writes the run's folder: alone, or worker 0 of a cluster."""
    worker = multi_worker(strategy)
    return worker is None or worker.place == 0


def gpu_name() -> str | None:
    """The first GPU in words, such as "NVIDIA H200"; None without one."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Devices in words, such as "2 x NVIDIA H200" or "AMD EPYC 7B13, 2 cores, 1 replica"."""
    replicas, gpu = strategy.num_replicas_in_sync, gpu_name()
    if gpu is None or "CPU" in strategy.extended.worker_devices[0]:
        text = f"{processor.name()}, {counted(processor.cores(), 'core')}, {counted(replicas, 'replica')}"
    else:
        text = f"{replicas} x {gpu}"
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return f"{text} on {strategy.cluster_resolver.cluster_spec().num_tasks('worker')} workers"
    return text
