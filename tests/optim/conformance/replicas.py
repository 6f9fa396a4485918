"""Five steps of every method on one and on two logical CPUs; writes the weights of each copy to a file.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.optim.conformance import trainings
from tests.optim.conformance.methods import labels, method, other_labels


def copies(label: str, replicas: int) -> list[list[float]]:
    """Weights on each replica."""
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    model = trainings.five_steps(method(label), strategy=strategy)
    found: list[list[float]] = [[] for _ in range(replicas)]
    for variable in model.network.weights:
        for copy, value in zip(found, strategy.experimental_local_results(variable.value), strict=True):
            copy.extend(np.ravel(value.numpy()).tolist())
    return found


def main(path: str) -> None:
    """Writes label -> {"start", "1", "2"}."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    results = {}
    for label in (*labels(), *other_labels()):
        start = trainings.weights(trainings.model_of(method(label), trainings.tanh_mlp(), 1))
        results[label] = {"start": start.tolist(), "1": copies(label, 1), "2": copies(label, 2)}
    Path(path).write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
