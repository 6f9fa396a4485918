"""Two steps of the central flow on one and on two logical CPUs; prints how far apart the weights are.

A process of its own: logical devices have to be made before TensorFlow touches any.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from tests.training.flow_runs import X, Y, compiled
from tf_fullbatch.optim.rules.central_flow import CentralFlow


def trained(replicas: int) -> tuple[np.ndarray, bool]:
    """The weights, and whether all replicas have the same of them and of what the optimizer keeps."""
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    with strategy.scope():
        model = compiled(CentralFlow(0.51))
    model.fit(X, Y, epochs=2, verbose=0)
    weights = model.network.trainable_variables
    copies = [strategy.experimental_local_results(v.value) for v in [*weights, *model.optimizer.variables]]
    same = all(len(c) == replicas and np.array_equal(c[0], one) for c in copies for one in c)
    return np.concatenate([np.ravel(w.numpy()) for w in weights]), same


def main() -> None:
    """Prints findings as JSON."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    (one, alone), (two, both) = trained(1), trained(2)
    print(json.dumps({"apart": float(np.abs(one - two).max()), "same": alone and both}))


if __name__ == "__main__":
    main()
