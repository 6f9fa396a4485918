"""What objectives answer on one and on two logical CPUs, printed as JSON: case -> replicas -> numbers.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tests.core.problems import objective, scalars, smooth
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.core.penalties import Penalty


def answers(strategy: tf.distribute.Strategy, samples: int, on_device: bool) -> dict[str, list[float]]:
    """To every question, on a network with BatchNorm and dropout; of samples that stream, one of each kind of pass."""
    generator = np.random.default_rng(1)
    inputs, labels = generator.normal(size=(samples, FEATURES)), generator.integers(0, CLASSES, samples)
    with strategy.scope():
        problem = smooth(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        theta = [leaf + 0.1 for leaf in problem.theta]
        asked = objective(
            problem,
            inputs,
            labels,
            when=scalars(full=0.3),
            micro_batch_size=4,
            chunk_micro_batches=2,
            on_device=on_device,
        )
    v = [tf.constant(generator.normal(size=leaf.shape)) for leaf in theta]
    questions = {
        "penalised": lambda: asked.value_and_gradient(theta, Penalty(name="nested_tape")),
        "ggn": lambda: asked.hvp(theta, v, "ggn"),
        "micro-batches": lambda: asked.micro_batches(theta),
    }
    if on_device:
        questions |= {
            "loss": lambda: asked.loss(theta),
            "gradient": lambda: asked.value_and_gradient(theta),
            "hessian": lambda: asked.hvp(theta, v),
        }
    return {
        name: np.concatenate([np.ravel(x) for x in tf.nest.flatten(question())]).tolist()
        for name, question in questions.items()
    }


def main() -> None:
    """23 samples are six micro-batches, the last of three; of 3 samples one replica gets none."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    found: dict[str, dict[int, list[float]]] = {}
    strategies = [tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(count)]) for count in (1, 2)]
    for samples, places in ((23, (True, False)), (3, (True,))):
        expected = answers(strategies[0], samples, on_device=True)
        for on_device in places:
            for name, numbers in answers(strategies[1], samples, on_device).items():
                case = f"{name}, {samples} samples, {'resident' if on_device else 'streamed'}"
                found[case] = {1: expected[name], 2: numbers}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
