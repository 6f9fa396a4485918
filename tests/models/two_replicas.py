"""Three steps of a network with ghost batch normalisation on one and two logical CPUs; prints what each copy holds.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tests.models.test_conformance import NUM_CLASSES, build, images
from tests.training.small_models import model_of
from tf_fullbatch.data.batches import UpdateBatches

SAMPLES = 14


def trained(strategy: tf.distribute.Strategy, chunk: int | None) -> list[list[float]]:
    """Weights and statistics on every replica: micro-batches of 4, 4, 4 and 2 samples, groups of at most 3."""
    choices = {"width": 4, "activation": "softplus", "norm": "ghost", "ghost_batch_size": 3}
    with strategy.scope():
        network = build("resnet_tiny", choices)
        model = model_of(network, micro_batch_size=4, augmentation="none", jit_compile="off")
    labels = np.arange(SAMPLES) % NUM_CLASSES
    model.fit(UpdateBatches(images(SAMPLES), labels, chunk_micro_batches=chunk), epochs=3, verbose=0)
    copies: list[list[float]] = [[] for _ in range(strategy.num_replicas_in_sync)]
    for variable in network.weights:
        for copy, value in zip(copies, strategy.experimental_local_results(variable.value), strict=True):
            copy.extend(np.ravel(value.numpy()).astype("float64").tolist())
    return copies


def main() -> None:
    """One replica that has all at once, and two that get two micro-batches a call."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    one, two = (tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)]) for count in (1, 2))
    print(json.dumps([trained(one, None), trained(one, 1), trained(two, 2)]))


if __name__ == "__main__":
    main()
