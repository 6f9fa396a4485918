"""Three updates of GradientDescent on two logical CPUs, in cross-replica context; prints all copies."""

import json

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent


def main() -> None:
    """Updates twice in a compiled function and once in eager code."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        kernel = keras.Variable(np.array([1.0, -2.0, 0.5]), name="kernel")
        bias = keras.Variable(np.array([1.0, -2.0, 0.5]), name="bias")
        schedule = build_schedule(
            "steps",
            peak=0.1,
            warmup_epochs=0,
            horizon_epochs=9,
            steps_per_epoch=2,
            decay_epochs=[1],
            decay_factor=0.5,
        )
        optimizer = GradientDescent(schedule, weight_decay=0.3)
        optimizer.exclude_from_weight_decay(var_list=[bias])
        optimizer.build([kernel, bias])
    gradient = tf.constant([0.1, 0.2, 0.3], tf.float64)

    def update() -> None:
        optimizer.apply([gradient, gradient], [kernel, bias])

    compiled = tf.function(update)
    compiled()
    compiled()
    update()
    found = {
        v.name: [replica.numpy().tolist() for replica in strategy.experimental_local_results(v.value)]
        for v in (kernel, bias)
    }
    print(json.dumps({**found, "iterations": int(optimizer.iterations.numpy())}))


if __name__ == "__main__":
    main()
