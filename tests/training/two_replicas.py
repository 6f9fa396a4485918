"""A training on two logical CPUs: saved, restored into another model there, both continued; prints findings."""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.training.tiny import build_training, train
from tf_fullbatch.records.checkpoints import load_checkpoint, save_checkpoint
from tf_fullbatch.training.state import TrainingState


def differing(
    strategy: tf.distribute.Strategy, state: TrainingState, arrays: dict[str, np.ndarray]
) -> list[str]:
    """Names of the variables that are not bit for bit the array on every replica."""
    return [
        f"{name} on replica {i}"
        for name, variable in state._variables.items()
        for i, replica in enumerate(strategy.experimental_local_results(variable.value))
        if replica.numpy().tobytes() != arrays[name].tobytes()
    ]


def main(folder: str) -> None:
    """Saves step 2 and step 4 of the uninterrupted training under `folder`."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {}
    with strategy.scope():
        model, ema, state = build_training()
    train(model, ema, 0, 2)
    saved = state.capture()
    path = save_checkpoint(folder, step=2, epoch=2, arrays=saved, metadata={})
    found["differing before"] = differing(strategy, state, saved)
    found["copies"] = [len(strategy.experimental_local_results(v.value)) for v in state._variables.values()]
    with strategy.scope():
        resumed, resumed_ema, resumed_state = build_training(initial_seed=7)
    resumed_state.restore(load_checkpoint(path).arrays)
    found["differing restored"] = differing(strategy, resumed_state, saved)
    with ema.applied():
        averages = {
            n.replace("ema", "network"): a.numpy() for n, a in state._variables.items() if "ema/0" in n
        }
        held = [n for n in differing(strategy, state, saved | averages) if n.startswith("network")]
        found["differing applied"] = held
        found["averages differ from weights"] = any(np.any(saved[n] != a) for n, a in averages.items())
    found["differing after applied"] = differing(strategy, state, saved)
    train(model, ema, 2, 4)
    train(resumed, resumed_ema, 2, 4)
    last = state.capture()
    found["differing continued"] = differing(strategy, resumed_state, last)
    found["trained on"] = bool(np.any(last["network/000/dense/kernel"] != saved["network/000/dense/kernel"]))
    save_checkpoint(folder, step=4, epoch=4, arrays=last, metadata={})
    print(json.dumps(found))


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main(sys.argv[1])
