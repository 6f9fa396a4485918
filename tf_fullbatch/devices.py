"""Devices: the precision of this process, the strategy over its devices, and their names."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


def set_precision(dtype_policy: str) -> None:
    """Sets Keras' and TensorFlow's precision for this process.

    Args:
        dtype_policy: One of `config.groups.DTYPE_POLICIES`. "float32" switches TensorFloat-32 off, which
            TensorFlow has on by default.
    """
    keras.config.set_floatx("float64" if dtype_policy == "float64" else "float32")
    keras.config.set_dtype_policy("float32" if dtype_policy == "tf32" else dtype_policy)
    tf.config.experimental.enable_tensor_float_32_execution(dtype_policy == "tf32")


@contextlib.contextmanager
def precision(dtype_policy: str) -> Iterator[None]:
    """`set_precision` for a while."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    set_precision(dtype_policy)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def choose_strategy(name: str) -> tf.distribute.Strategy:
    """The strategy of a name: `auto` mirrors over the machine's GPUs where there are several."""
    several = len(tf.config.list_logical_devices("GPU")) > 1
    if name == "mirrored" or (name == "auto" and several):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def gpu_name() -> str | None:
    """The first GPU in words, such as "NVIDIA H200"; None without one."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Devices in words, such as "2 x NVIDIA H200" or "CPU, 1 replica"."""
    replicas, gpu = strategy.num_replicas_in_sync, gpu_name()
    if gpu is None:
        return f"CPU, {replicas} replica{'s' * (replicas > 1)}"
    return f"{replicas} x {gpu}"
