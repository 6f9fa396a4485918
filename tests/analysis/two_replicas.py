"""Statistics of the set on one and on two logical CPUs, printed as JSON: statistic -> replicas -> numbers.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tests.core.objectives import INPUTS, LABELS
from tests.core.problems import objective, smooth
from tf_fullbatch.analysis.batch_sharpness import batch_sharpness
from tf_fullbatch.analysis.el2n import el2n_scores
from tf_fullbatch.analysis.grand import grand_scores
from tf_fullbatch.analysis.layer_norms import layer_norms
from tf_fullbatch.analysis.noise_interaction import gradient_noise_interaction
from tf_fullbatch.analysis.noise_scale import noise_scale
from tf_fullbatch.analysis.per_example import per_example_norms
from tf_fullbatch.analysis.snr import signal_to_noise


def answers(strategy: tf.distribute.Strategy) -> dict[str, list[float]]:
    """Of a network with BatchNorm and dropout; 23 samples are six micro-batches, the last of three."""
    with strategy.scope():
        problem = smooth(keras.layers.BatchNormalization(), keras.layers.Dropout(0.3, seed=1))
        asked = objective(problem, INPUTS, LABELS, micro_batch_size=4)
        by_samples = objective(problem, INPUTS, LABELS, micro_batch_size=1, statistics="frozen", shuffle=True)
    statistics = {
        "noise_scale": lambda: noise_scale(asked),
        "snr": lambda: signal_to_noise(asked, gsnr_jackknife=True),
        "batch_sharpness": lambda: batch_sharpness(asked),
        "noise_interaction": lambda: gradient_noise_interaction(asked, probes=2),
        "layer_norms": lambda: list(layer_norms(asked).values()),
        "per_example": lambda: per_example_norms(by_samples),
        "el2n": lambda: el2n_scores(by_samples),
        "grand": lambda: grand_scores(by_samples),
    }
    return {name: np.ravel(np.array(statistic())).tolist() for name, statistic in statistics.items()}


def main() -> None:
    """Prints what one and two replicas find."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    one, two = (answers(tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(n)])) for n in (1, 2))
    print(json.dumps({name: {1: one[name], 2: two[name]} for name in one}))


if __name__ == "__main__":
    main()
