"""Micro-batch losses of small networks in float64, with what explicit derivatives take."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tests.networks import CLASSES, FEATURES, UNITS, softplus_network
from tf_fullbatch.core import trees
from tf_fullbatch.core.accuracy import of_class_numbers
from tf_fullbatch.core.curvature import CURVATURES
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.kernels import GradientKernel
from tf_fullbatch.core.micro_batch import MicroBatch, MicroBatchLoss, StepScalars
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.passes import Kernel
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.core.training_loss import SampleLoss, TrainingLoss
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.resident import ResidentSource, fits
from tf_fullbatch.data.stream import StreamSource

ROWS = 7
GENERATOR = np.random.default_rng(11)
X = GENERATOR.normal(size=(ROWS, FEATURES))
Y = GENERATOR.integers(0, CLASSES, ROWS)


def cross_entropy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)


def mean_squares(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean((outputs - targets) ** 2, axis=-1)


def batch(index: int = 0, noise: tf.Tensor | None = None) -> MicroBatch:
    ids = tf.range(ROWS, dtype=tf.int64)
    return MicroBatch(tf.constant(X), tf.constant(Y), ids, tf.constant(index, tf.int64), noise=noise)


def scalars(step: int = 0, rate: float = 0.8, strength: float = 0.5, full: float = 0.0) -> StepScalars:
    return StepScalars(
        step=tf.constant(step, tf.int64),
        epoch=tf.constant(0, tf.int64),
        learning_rate=tf.constant(rate, tf.float64),
        micro_batch_penalty=tf.constant(strength, tf.float64),
        full_penalty=tf.constant(full, tf.float64),
    )


def flat(x: trees.Tree) -> np.ndarray:
    return trees.flatten(x).numpy()


class Result(NamedTuple):
    """What a micro-batch gives."""

    gradient: trees.Tree
    loss: tf.Tensor
    squared_norm: tf.Tensor
    outputs: tf.Tensor
    measurements: trees.Tree


class Problem:
    """The loss of micro-batches of a network at its present weights and state.

    Args:
        network: Built, of inputs `[batch, FEATURES]` unless `inputs` says else.
        sample_loss: Loss per sample.
        inputs: Spec of a batch of inputs.
        **settings: Of `MicroBatchLoss`.
    """

    def __init__(
        self,
        network: keras.Model,
        sample_loss: SampleLoss = cross_entropy,
        inputs: tf.TensorSpec | None = None,
        **settings: Any,
    ):
        self.network = network
        spec = tf.TensorSpec([None, FEATURES], tf.float64) if inputs is None else inputs
        correct = of_class_numbers if sample_loss is cross_entropy else None
        loss = TrainingLoss.of_one(sample_loss, correct)
        self.loss = MicroBatchLoss(NetworkCall(network, spec), loss, **settings)

    @property
    def theta(self) -> trees.Tree:
        return [tf.convert_to_tensor(v.value) for v in self.network.trainable_variables]

    @property
    def state(self) -> trees.Tree:
        return self.loss.call.state.values()

    def gradient(
        self,
        part: MicroBatch,
        when: StepScalars,
        full_gradient: trees.Tree | None = None,
        *,
        penalty: Penalty | None = None,
        **settings: Any,
    ) -> Result:
        """What `GradientKernel` with these settings makes of a micro-batch."""
        kernel = GradientKernel(self.loss, penalty, **settings)
        found = kernel(self.theta, self.state, part, when, full_gradient)
        assert found.scored is not None
        means = found.weighted
        return Result(
            means.gradient, means.loss, means.squared_norm, found.scored.outputs, found.sampled.measurements
        )

    def value(self, theta: trees.Tree, part: MicroBatch, when: StepScalars) -> tf.Tensor:
        """The loss to differentiate, with kernels whose second derivatives are exact."""
        return self.loss.value(theta, self.state, part, when, derivatives=2)[0]

    def hessian(self, part: MicroBatch, when: StepScalars) -> np.ndarray:
        """The explicit Hessian of a micro-batch's loss."""
        vector, like = trees.flatten(self.theta), self.theta
        with tf.GradientTape() as outer:
            outer.watch(vector)
            with tf.GradientTape() as inner:
                inner.watch(vector)
                loss = self.value(trees.unflatten(vector, like), part, when)
            first = inner.gradient(loss, vector)
        return outer.jacobian(first, vector).numpy()


HIDDEN: dict[str, Callable[[], list[keras.layers.Layer]]] = {
    "dense": list,
    "batch norm": lambda: [keras.layers.BatchNormalization()],
    "layer norm": lambda: [keras.layers.LayerNormalization()],
    "both": lambda: [keras.layers.BatchNormalization(), keras.layers.LayerNormalization()],
    "dropout": lambda: [keras.layers.Dropout(0.4, seed=1)],
    "regularizers": lambda: [
        keras.layers.Dense(UNITS, activation="softplus", kernel_regularizer=keras.regularizers.L2(0.3)),
        keras.layers.ActivityRegularization(l2=0.1),
    ],
}


def smooth(*hidden: keras.layers.Layer, **settings: Any) -> Problem:
    """A smooth network with some more layers before its head."""
    return Problem(softplus_network(*hidden), **settings)


def objective(
    problem: Problem,
    inputs: np.ndarray,
    targets: np.ndarray,
    *,
    when: StepScalars | None = None,
    step: int = 0,
    micro_batch_size: int = 128,
    statistics: str = "batch",
    stopped_by: Callable[[], str | None] = lambda: None,
    **batches: Any,
) -> Objective:
    """An objective of update batches on the current strategy; `batches` are settings of `UpdateBatches`."""
    data, strategy = UpdateBatches(inputs, targets, **batches), tf.distribute.get_strategy()
    source = (ResidentSource if fits(data) else StreamSource)(data, micro_batch_size, strategy)

    def make_pass(kernel: Kernel, room: int) -> FullPass:
        return FullPass(
            kernel,
            read=lambda: (problem.theta, problem.state),
            dtype="float64",
            strategy=strategy,
            most_micro_batches=room,
        )

    when = scalars() if when is None else when
    return Objective(
        problem.loss,
        make_pass,
        source,
        step,
        when,
        source.plan.micro_batches(step),
        statistics=statistics,
        stopped_by=stopped_by,
    )


def micro_batches(inputs: np.ndarray, targets: np.ndarray, size: int) -> list[MicroBatch]:
    """All samples cut into micro-batches, in their order."""
    return [
        MicroBatch(
            tf.constant(inputs[i : i + size]),
            tf.constant(targets[i : i + size]),
            tf.range(i, min(i + size, len(inputs)), dtype=tf.int64),
            tf.constant(i // size, tf.int64),
        )
        for i in range(0, len(inputs), size)
    ]


def matrix(problem: Problem, name: str, part: MicroBatch) -> np.ndarray:
    """All columns of a curvature, by products with unit vectors."""
    theta, state, when = problem.theta, problem.state, scalars()

    @tf.function(autograph=False)
    def column(v: tf.Tensor) -> tf.Tensor:
        product, _ = CURVATURES[name](problem.loss, theta, state, part, when, trees.unflatten(v, theta))
        return trees.flatten(product)

    return np.stack([column(v) for v in tf.eye(int(trees.flatten(theta).shape[0]), dtype=tf.float64)], 1)
