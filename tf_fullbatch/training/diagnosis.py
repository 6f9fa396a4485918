"""Where a quantity that is not finite comes from: a second look at a step, micro-batch by micro-batch."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core.kernels import GradientKernel
from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.data.batches import micro_batch
from tf_fullbatch.data.resident import ResidentSource
from tf_fullbatch.data.stream import StreamSource


class StepInQuestion(NamedTuple):
    """A step that gave something not finite.

    Attributes:
        source: The training data.
        step_in_epoch: The step's place.
        scalars: Its scalars.
        full_gradient: Tree, the update batch's gradient where the step used it.
    """

    source: ResidentSource | StreamSource
    step_in_epoch: int
    scalars: StepScalars
    full_gradient: Tree | None


class Origin(NamedTuple):
    """Where what is not finite was first seen.

    Attributes:
        words: A clause.
        in_data: Whether that is an input or a target.
    """

    words: str
    in_data: bool = False


def diagnose(
    objective: Objective, loss: MicroBatchLoss, penalty: Penalty | None, step: StepInQuestion
) -> Origin:
    """A clause that names the first micro-batch that is not finite by itself, and where in it.

    It costs another pass, after the run has ended.
    """
    each = objective.micro_batches(penalty=penalty, full_gradient=step.full_gradient)
    suspects = np.flatnonzero(each.finite != 1)  # nan, too
    if not len(suspects):
        return Origin("every micro-batch is finite by itself: their sum overflows")
    index = int(suspects[0])
    batches = step.source.batches
    order = batches.order(int(step.scalars.epoch))
    positions = step.source.plan.micro_batch(step.step_in_epoch, index)
    rows = batches.select_rows(positions if order is None else order[positions])
    batch = micro_batch(tf.nest.map_structure(tf.constant, rows), tf.constant(index, tf.int64))
    samples = f"samples {positions[0]} to {positions[-1]}"
    if order is not None:
        samples += f" of epoch {int(step.scalars.epoch) + 1}'s order"
    place = _place(objective, loss, GradientKernel(loss, penalty), batch, step)
    return place._replace(words=f"first seen in {samples} (micro-batch {index}), in {place.words}")


def _place(
    objective: Objective,
    loss: MicroBatchLoss,
    kernel: GradientKernel,
    batch: MicroBatch,
    step: StepInQuestion,
) -> Origin:
    """The first place on the way from inputs to gradient that is not finite."""
    named = {"input": batch.inputs, "target": batch.targets, "sample weight": batch.weights}
    flat = [
        (name, leaf) for name, part in named.items() if part is not None for leaf in tf.nest.flatten(part)
    ]
    for name, values in flat:
        if values.dtype.is_floating and not _finite(values):
            bad = [i for i, row in enumerate(values.numpy()) if not np.isfinite(row).all()]
            return Origin(f"the {name} of sample {int(batch.sample_ids[bad[0]])}", in_data=True)
    layer = _first_layer(loss, batch, step.scalars)
    if layer is not None:
        return Origin(f"the output of layer {layer!r}")
    state = loss.call.state.values()
    means = kernel(objective.theta(), state, batch, step.scalars, step.full_gradient).weighted
    if not _finite(means.loss):
        return Origin("the loss")
    # The backward pass goes from the last layer to the first.
    pairs = reversed(list(zip(objective.variables, means.gradient, strict=True)))
    bad_paths = [v.path for v, g in pairs if not _finite(g)]
    return Origin(f"the gradient of {bad_paths[0]!r}" if bad_paths else "its gradient")


def _first_layer(loss: MicroBatchLoss, batch: MicroBatch, scalars: StepScalars) -> str | None:
    """The first layer whose output in training is not finite; None where there is none, or no graph of layers."""
    network = loss.call.network
    if not getattr(network, "inputs", None):  # a subclassed model
        return None
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    probe = keras.Model(network.inputs, [layer.output for layer in layers])
    outputs, _ = probe.stateless_call(
        [v.value for v in probe.trainable_variables],
        [v.value for v in probe.non_trainable_variables],
        loss.prepared(batch, scalars).inputs,
        training=True,
    )
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return next((layer.name for layer, y in zip(layers, outputs, strict=True) if not _finite(y)), None)


def _finite(values: tf.Tensor) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(values)))
