"""A tiny training with everything a resume must carry: BatchNorm, dropout, momentum, a moving average."""

from typing import Any

import keras
import numpy as np

from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.state import TrainingState
from tf_fullbatch.training.weight_average import WeightAverage

SAMPLES = 22


def data() -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[22, 6]` and labels of 3 classes."""
    generator = np.random.default_rng(0)
    return generator.normal(size=(SAMPLES, 6)).astype(np.float32), generator.integers(0, 3, SAMPLES)


def build_network(units: int = 5, seed: int = 0) -> keras.Model:
    """Layers without names of their own, numbered by Keras."""
    inputs = x = keras.Input((6,))
    x = keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed))(x)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Activation("softplus")(x)
    x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed + 1))(x)
    return keras.Model(inputs, x)


def build_training(
    optimizer: keras.optimizers.Optimizer | None = None,
    *,
    units: int = 5,
    initial_seed: int = 0,
    averaged: bool = True,
    micro_batch_size: int = 8,
    **settings: Any,
) -> tuple[FullBatchModel, WeightAverage | None, TrainingState]:
    """A built model, its moving average and its state; within a strategy's scope where there is one.

    Args:
        optimizer: Gradient descent by default.
        units: Of the hidden layer.
        initial_seed: Seed of the initial weights.
        averaged: Whether there is a moving average.
        micro_batch_size: Samples per micro-batch.
        **settings: As for `FullBatchModel`.
    """
    model = FullBatchModel(build_network(units, initial_seed), micro_batch_size=micro_batch_size, **settings)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer or GradientDescent(0.1), loss=loss)
    model.optimizer.build(model.network.trainable_variables)
    ema = WeightAverage(model.network, 0.5) if averaged else None
    return model, ema, TrainingState(model, ema)


def train(model: FullBatchModel, ema: WeightAverage | None, first: int, last: int, **batches: Any) -> None:
    """Epochs `first` to `last` - 1, each followed by an update of the moving average.

    Args:
        model: Built.
        ema: The moving average, if any.
        first: Epochs made before.
        last: Epochs made afterwards.
        **batches: `batch_size` and `shuffle`, as for `fit`; without them an epoch is one full-batch step.
    """
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ema.update())] if ema else []
    model.fit(*data(), initial_epoch=first, epochs=last, callbacks=callbacks, verbose=0, **batches)
