"""Norm and noise scale of steps on one and on two logical CPUs, as JSON: case -> replicas x steps x figures.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json
from typing import Any

import keras
import tensorflow as tf

from tests.networks import softplus_network
from tests.training.small_models import X, Y, model_of
from tf_fullbatch.data.batches import UpdateBatches

EXACT = {"penalty": "nested_tape", "penalty_strength": 0.7}
CASES: dict[str, dict[str, Any]] = {
    "none": {},
    "penalty": EXACT,
    "micro-batches clipped": {"micro_batch_clip_norm": 0.05},
    "two penalties": {**EXACT, "full_gradient_penalty_strength": 0.3},
}


def figures(replicas: int, settings: dict[str, Any], on_device: bool) -> list[list[float]]:
    """Of two steps over 23 samples in five micro-batches: the last round of two replicas has one that idles."""
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        network = softplus_network(keras.layers.BatchNormalization())
        model = model_of(network, micro_batch_size=5, **settings)
    found = []
    for epoch in range(2):
        batches = UpdateBatches(X, Y, on_device=on_device)
        model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        found.append([model.last_step[name] for name in ("unpenalised_gradient_norm", "noise_scale")])
    return found


def main() -> None:
    """Prints what one and two replicas find."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    found = {
        f"{case}, {'resident' if on_device else 'streamed'}": [
            figures(replicas, settings, on_device) for replicas in (1, 2)
        ]
        for case, settings in CASES.items()
        for on_device in (True, False)
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
