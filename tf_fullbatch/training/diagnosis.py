"""Where a quantity that is not finite comes from: a second look at a step, micro-batch by micro-batch."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core.micro_batch import Clock, MicroBatch, MicroBatchResult, Objective
from tf_fullbatch.data.batches import BatchPlan, UpdateBatches


class StepInQuestion(NamedTuple):
    """A step that gave something not finite.

    Attributes:
        batches: The training data.
        plan: How an epoch is cut.
        step_in_epoch: The step's place.
        clock: Its scalars.
        full_gradient: Tree, the update batch's gradient where the step used it.
    """

    batches: UpdateBatches
    plan: BatchPlan
    step_in_epoch: int
    clock: Clock
    full_gradient: Sequence[tf.Tensor] | None


def diagnose(objective: Objective, step: StepInQuestion) -> str:
    """A clause that names the first micro-batch that is not finite by itself, and where in it.

    It costs up to another pass, after the run has ended. Noise on the losses is left out.
    """
    theta, state = objective.theta(), objective.state.values()
    order = step.batches.order(int(step.clock.epoch))
    for index in range(step.plan.micro_batches(step.step_in_epoch)):
        positions = step.plan.micro_batch(step.step_in_epoch, index)
        rows = positions if order is None else order[positions]
        inputs, targets, sample_ids = step.batches.take(rows)
        batch = MicroBatch(
            tf.constant(inputs),
            tf.constant(targets),
            tf.constant(sample_ids),
            tf.constant(index, tf.int64),
            None,
        )
        result = objective.gradient(theta, state, batch, step.clock, step.full_gradient)
        place = _place(objective, batch, result, step.clock)
        if place is not None:
            samples = f"samples {positions[0]} to {positions[-1]}"
            if order is not None:
                samples += f" of epoch {int(step.clock.epoch) + 1}'s order"
            return f"first seen in {samples} (micro-batch {index}), in {place}"
    return "every micro-batch is finite by itself: their sum overflows"


def _place(objective: Objective, batch: MicroBatch, result: MicroBatchResult, clock: Clock) -> str | None:
    """The first place on the way from inputs to gradient that is not finite; None where all is finite."""
    if _finite(result.loss) and all(map(_finite, result.gradient)):
        return None
    for name, values in (("input", batch.inputs), ("target", batch.targets)):
        if values.dtype.is_floating and not _finite(values):
            bad = [i for i, row in enumerate(values.numpy()) if not np.isfinite(row).all()]
            return f"the {name} of sample {int(batch.sample_ids[bad[0]])}"
    layer = _first_layer(objective, batch, clock)
    if layer is not None:
        return f"the output of layer {layer!r}"
    if not _finite(result.loss):
        return "the loss"
    variables = objective.network.trainable_variables
    # The backward pass goes from the last layer to the first.
    pairs = reversed(list(zip(variables, result.gradient, strict=True)))
    return f"the gradient of {next(v.path for v, g in pairs if not _finite(g))!r}"


def _first_layer(objective: Objective, batch: MicroBatch, clock: Clock) -> str | None:
    """The first layer whose output in training is not finite; None where there is none, or no graph of layers."""
    network = objective.network
    if not getattr(network, "inputs", None):  # a subclassed model
        return None
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    probe = keras.Model(network.inputs, [layer.output for layer in layers])
    inputs = objective.augmented(batch, clock).inputs
    outputs, _ = probe.stateless_call(
        [v.value for v in probe.trainable_variables],
        [v.value for v in probe.non_trainable_variables],
        inputs,
        training=True,
    )
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return next((layer.name for layer, y in zip(layers, outputs, strict=True) if not _finite(y)), None)


def _finite(values: tf.Tensor) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(values)))
