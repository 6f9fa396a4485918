"""Trainings of a method on a problem, as users make them."""

import keras
import numpy as np
import tensorflow as tf

from tests.optim.conformance.methods import Method
from tests.optim.conformance.problems import DECAY, Problem, tanh_mlp
from tf_fullbatch import FullBatchModel
from tf_fullbatch.records.checkpoints import load_step, save_checkpoint
from tf_fullbatch.training.state import TrainingState

BELOW = 1e-13
"""What is taken off the least loss for Polyak's lengths, whose bound must not be above it."""
STEPS, SAVED_AFTER, MICRO_BATCH = 5, 3, 7
FEWER = {("newton_cg", "strong_wolfe"): 4}
"""Its fifth direction is 1e5 long, the Hessian being all but singular along it, and rounding grows by as much."""


def model_of(
    method: Method, problem: Problem, steps: int, *, micro_batch_size: int = MICRO_BATCH, decay: float = 0.0
) -> FullBatchModel:
    """A compiled model, its optimizer built; within a strategy's scope where there is one."""
    least = 0.0 if problem.minimum is None else problem.minimum(decay).value
    lowest = least and least - BELOW
    model = FullBatchModel(problem.network(), micro_batch_size=micro_batch_size)
    optimizer = method.build(steps, decay=decay, lowest=lowest, curvature=problem.curvature)
    model.compile(optimizer, loss=problem.loss())
    model.optimizer.build(model.network.trainable_variables)
    return model


def weights(model: FullBatchModel) -> np.ndarray:
    return np.concatenate([np.ravel(v) for v in model.network.get_weights()])


def steps_of(method: Method) -> int:
    return FEWER.get((method.name, method.search), STEPS)


def five_steps(
    method: Method,
    *,
    micro_batch_size: int = MICRO_BATCH,
    save_to: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> FullBatchModel:
    """A model of `tanh_mlp` after `steps_of` steps, decayed; saves a checkpoint after `SAVED_AFTER` of them."""
    problem = tanh_mlp()
    with (strategy or tf.distribute.get_strategy()).scope():
        model = model_of(method, problem, steps_of(method), micro_batch_size=micro_batch_size, decay=DECAY)
    state = TrainingState(model)

    def save(epoch: int, logs: object) -> None:
        if save_to is not None and epoch + 1 == SAVED_AFTER:
            save_checkpoint(save_to, step=epoch + 1, epoch=epoch + 1, arrays=state.capture(), metadata={})

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=save)]
    model.fit(problem.inputs, problem.targets, epochs=steps_of(method), verbose=0, callbacks=callbacks)
    return model


def resumed(method: Method, folder: str) -> FullBatchModel:
    """Another model, from the checkpoint on."""
    problem = tanh_mlp()
    model = model_of(method, problem, steps_of(method), decay=DECAY)
    TrainingState(model).restore(load_step(folder, SAVED_AFTER).arrays)
    model.fit(problem.inputs, problem.targets, initial_epoch=SAVED_AFTER, epochs=steps_of(method), verbose=0)
    return model
