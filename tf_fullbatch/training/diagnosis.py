"""Where a quantity that is not finite comes from: a second look at a step, micro-batch by micro-batch."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.copies import sample_and_copy
from tf_fullbatch.core.kernels import Change, GradientKernel
from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars, as_full_precision
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Contribution
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.data.batches import UpdateBatches, micro_batch
from tf_fullbatch.data.encoded import EncodedImages
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
        advice: What to do, where it is not the training that explodes; empty where it is.
    """

    words: str
    advice: str = ""


def diagnose(
    objective: Objective, loss: MicroBatchLoss, change: Change | None, step: StepInQuestion
) -> Origin:
    """A clause that names the first micro-batch that is not finite by itself, and where in it.

    It costs another pass, after the run has ended.
    """
    each = objective.micro_batches(penalty=change, full_gradient=step.full_gradient)
    suspects = np.flatnonzero(each.finite != 1)  # nan, too
    kernel = GradientKernel(loss, change)
    if not len(suspects):
        micro_batches = range(step.source.plan.micro_batches(step.step_in_epoch))
        found = (_contribution(objective, loss, kernel, _micro_batch(step, i), step) for i in micro_batches)
        if not any(float(contribution.weight) for contribution in found):
            advice = "Give weights above 0, or targets and masks that leave something to learn from."
            return Origin("no sample of the step counts: sample weights or masks are 0 throughout", advice)
        return Origin("every micro-batch is finite by itself: their sum overflows")
    index = int(suspects[0])
    positions = step.source.plan.micro_batch(step.step_in_epoch, index)
    samples = f"samples {positions[0]} to {positions[-1]}"
    if step.source.batches.shuffle:
        samples += f" of epoch {int(step.scalars.epoch) + 1}'s order"
    place = _place(objective, loss, kernel, _micro_batch(step, index), step)
    advice = place.advice
    if not advice and int(step.scalars.step) == 0:
        largest = max(_largest(array) for array in tf.nest.flatten(step.source.batches.inputs))
        advice = (
            "No update was made before, so no learning rate is to blame: look at the inputs' scale (they go up to "
            f"{largest:.3g}), the network, its initial weights, penalty and noise."
        )
    return Origin(f"first seen in {samples} (micro-batch {index}), in {place.words}", advice)


def _micro_batch(step: StepInQuestion, index: int) -> MicroBatch:
    """A micro-batch of the step."""
    batches = step.source.batches
    order = batches.order(int(step.scalars.epoch))
    positions = step.source.plan.micro_batch(step.step_in_epoch, index)
    epoch = int(step.scalars.epoch)
    rows = batches.with_partners(positions if order is None else order[positions], epoch)
    return micro_batch(tf.nest.map_structure(tf.constant, rows), tf.constant(index, tf.int64))


def _contribution(
    objective: Objective,
    loss: MicroBatchLoss,
    kernel: GradientKernel,
    batch: MicroBatch,
    step: StepInQuestion,
) -> Contribution:
    state = loss.call.state.values()
    return kernel(objective.theta(), state, batch, step.scalars, step.full_gradient)


def _place(
    objective: Objective,
    loss: MicroBatchLoss,
    kernel: GradientKernel,
    batch: MicroBatch,
    step: StepInQuestion,
) -> Origin:
    """The first place on the way from inputs to gradient that is not finite."""
    in_data = _in_data(batch, step.source.batches)
    if in_data is not None:
        return in_data
    prepared = loss.prepared(batch, step.scalars)
    for inputs in tf.nest.flatten(prepared.inputs):
        bad = _not_finite(inputs.numpy())
        if len(bad):
            # There may be several copies of it, one after the other.
            sample, copy = sample_and_copy(int(batch.sample_ids[bad[0] % len(batch.sample_ids)]))
            words = f"what the augmentation made of sample {sample}" + (f", copy {copy}" if copy else "")
            return Origin(words, "Let it return finite inputs.")
    layer = _first_layer(loss, prepared)
    if layer is not None:
        return Origin(layer)
    means = _contribution(objective, loss, kernel, batch, step).weighted
    if not _finite(means.loss):
        return Origin("the loss")
    # The backward pass goes from the last layer to the first.
    pairs = reversed(list(zip(objective.variables, means.gradient, strict=True)))
    bad_paths = [v.path for v, g in pairs if not _finite(g)]
    return Origin(f"the gradient of {bad_paths[0]!r}" if bad_paths else "its gradient")


def _in_data(batch: MicroBatch, batches: UpdateBatches) -> Origin | None:
    """The first input, target or sample weight of a micro-batch that is not finite as the network gets it."""
    parts = {
        "input": (batch.inputs, batches.inputs),
        "target": (batch.targets, batches.targets),
        "sample weight": (batch.weights, batches.weights),
    }
    for name, (part, whole) in parts.items():
        leaves = [] if part is None else tf.nest.flatten(part)
        for values, array in zip(leaves, tf.nest.flatten(whole), strict=False):
            bad = _not_finite(values.numpy())
            if len(bad):
                everywhere = _not_finite(array)
                advice = (
                    f"Mend or leave out what is not finite: of {len(array):,} {name}s those of samples "
                    f"{_listed(batches.sample_ids[everywhere])}."
                )
                sample, _ = sample_and_copy(int(batch.sample_ids[bad[0]]))
                return Origin(f"the {name} of sample {sample}", advice)
    return None


def _first_layer(loss: MicroBatchLoss, batch: MicroBatch) -> str | None:
    """The first layer whose output in training is not finite, in words; None of a network without a graph of layers.

    Args:
        loss: The loss of the network.
        batch: As `MicroBatchLoss.prepared` returns it.
    """
    network = loss.call.network
    if not getattr(network, "inputs", None):  # a subclassed model
        return None
    layers = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    with keras_internals.deep_networks():
        probe = keras.Model(network.inputs, [layer.output for layer in layers])
    outputs, _ = probe.stateless_call(
        [v.value for v in probe.trainable_variables],
        [v.value for v in probe.non_trainable_variables],
        batch.inputs,
        training=True,
    )
    outputs = outputs if isinstance(outputs, list) else [outputs]
    for layer, y in zip(layers, outputs, strict=True):
        if not _finite(y):
            bad = _not_finite(as_full_precision(y).numpy())
            ids = batch.sample_ids.numpy()
            # Where statistics are shared among the samples, all are concerned.
            some = f", of sample {sample_and_copy(ids[bad[0] % len(ids)])[0]}" if len(bad) < len(y) else ""
            return f"the output of layer {layer.name!r}{some}"
    return None


def _not_finite(values: np.ndarray) -> np.ndarray:
    """int64, the rows of `[rows, ...]` that are not finite, or not in the precision that Keras computes in."""
    if values.dtype.kind != "f":
        return np.empty(0, np.int64)
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(keras.config.floatx()))
    return np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))


def _largest(array: np.ndarray | EncodedImages) -> float:
    if isinstance(array, EncodedImages):
        return 255.0  # not worth a pass
    return float(np.nanmax(np.abs(array.astype("float64")))) if array.dtype.kind in "iuf" else 0.0


def _listed(ids: np.ndarray) -> str:
    return ", ".join(map(str, ids[:_MOST_NAMED].tolist())) + (", ..." if len(ids) > _MOST_NAMED else "")


_MOST_NAMED = 10
"""Samples that a message names."""


def _finite(values: tf.Tensor) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(values)))
