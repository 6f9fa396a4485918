"""One optimizer update over an update batch: accumulate, reduce, transform, apply."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import transforms, trees
from tf_fullbatch.core.full_pass import Sums
from tf_fullbatch.core.micro_batch import Clock, MicroBatch, Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.training.evaluation import fraction_correct


class Update(NamedTuple):
    """A reduced gradient, ready for the optimizer, and what was measured on the way.

    Attributes:
        gradient: Tree in the variables' dtypes: averaged, clipped, with noise.
        measurements: Means of the network state's measurements.
        scalars: name -> float64 scalar.
    """

    gradient: Tree
    measurements: Tree
    scalars: dict[str, tf.Tensor]


class StepFunctions:
    """The compiled parts of a step. Made once a model is built; holds the step's scratch sums.

    Args:
        objective: The micro-batch objective.
        optimizer: A built Keras optimizer.
        settings: Micro-batch size, clipping, noise, precision.
        strategy: The strategy in whose scope the model was built.
        metrics: Keras metrics (or None) updated with every micro-batch's (targets, outputs).
    """

    def __init__(
        self,
        *,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        settings: StepConfig,
        strategy: tf.distribute.Strategy,
        metrics: keras.metrics.Metric | None,
    ):
        self.objective = objective
        self._optimizer = optimizer
        self._settings = settings
        self._strategy = strategy
        self._metrics = metrics
        self._variables = objective.network.trainable_variables
        dtypes = {tf.as_dtype(settings.accumulate_dtype), *(tf.as_dtype(v.dtype) for v in self._variables)}
        self.accumulate_dtype = "float64" if tf.float64 in dtypes else "float32"
        scalars = [tf.zeros([])] * len(_SUMMED_SCALARS)
        like = [v.value for v in [*self._variables, *objective.state.measured]] + scalars
        self._sums = Sums(like, self.accumulate_dtype, strategy)

    @tf.function(autograph=False)
    def begin(self) -> None:
        """Zeroes the sums."""
        self._strategy.run(self._sums.clear)

    @tf.function(autograph=False)
    def accumulate(
        self,
        iterator: Iterator,
        clock: Clock,
        full_gradient: Sequence[tf.Tensor] | None,
        penalised: bool,
    ) -> None:
        """Takes one chunk a replica from the iterator and adds its micro-batches to the sums."""
        element = next(iterator)
        self._strategy.run(self._accumulate_chunk, args=(*element, clock, full_gradient, penalised))

    @tf.function(autograph=False)
    def mean_gradient(self, stopping: tf.Tensor) -> tuple[Tree, tf.Tensor]:
        """The averaged gradient in the variables' dtypes, neither clipped nor noisy, and the sum of `stopping`."""
        sums, rows, stops = self._sums.reduced(stopping)
        gradient = trees.scale(1 / rows, sums[: len(self._variables)])
        return [tf.cast(g, v.dtype) for g, v in zip(gradient, self._variables, strict=True)], stops

    @tf.function(autograph=False)
    def reduce(self, clock: Clock, full_gradient: Sequence[tf.Tensor] | None, stopping: tf.Tensor) -> Update:
        """Reduces the sums over the replicas and transforms the averaged gradient.

        Args:
            clock: The step.
            full_gradient: Tree, gradient of the whole update batch; None without the full-gradient penalty.
            stopping: See `Sums.reduced`; where its sum, among the scalars, is not 0, the rest means nothing.
        """
        sums, rows, stops = self._sums.reduced(stopping)
        means = trees.scale(1 / rows, sums)
        count = len(self._variables)
        gradient = means[:count]
        measurements = means[count : len(means) - len(_SUMMED_SCALARS)]
        loss, accuracy, squared_norm = means[len(means) - len(_SUMMED_SCALARS) :]
        clipped = transforms.clip_by_norm(gradient, self._settings.clip_norm, self._settings.clip_norm_type)
        gradient = clipped.gradient
        if self._settings.additive_noise:
            gradient = transforms.add_langevin_noise(
                gradient, self._settings.additive_noise, self._settings.seed, clock.step
            )
        penalty = clock.learning_rate / 8 * clock.strength * tf.cast(squared_norm, clock.learning_rate.dtype)
        if full_gradient is not None:
            full_square = tf.cast(trees.squared_norm(full_gradient), penalty.dtype)
            penalty += clock.learning_rate / 8 * clock.full_strength * full_square
        scalars = {
            "loss": loss,
            "accuracy": accuracy,
            "penalty": penalty,
            "penalised_objective": tf.cast(loss, penalty.dtype) + penalty,
            "gradient_norm": clipped.norm,
            "clipped": clipped.clipped,
            "mean_squared_micro_batch_gradient_norm": squared_norm,
            "samples": rows,
            "stopping": stops,
            "state_sum": tf.add_n([tf.reduce_sum(m) for m in measurements]) if measurements else tf.zeros([]),
        }
        gradient = [tf.cast(g, v.dtype) for g, v in zip(gradient, self._variables, strict=True)]
        return Update(gradient, measurements, {k: tf.cast(v, tf.float64) for k, v in scalars.items()})

    @tf.function(autograph=False)
    def apply(self, update: Update, micro_batches: tf.Tensor) -> dict[str, tf.Tensor]:
        """Applies an update to the weights and the network's statistics; cross-replica context.

        Returns:
            `parameter_norm` and `update_norm`, l2 norms after the update, float64 scalars.
        """
        before = [tf.identity(v.value) for v in self._variables]
        self._optimizer.apply(update.gradient, self._variables)
        after = [tf.convert_to_tensor(v.value) for v in self._variables]
        state = self.objective.state
        for variable, value in zip(
            state.measured, state.updated_values(update.measurements, micro_batches), strict=True
        ):
            variable.assign(value)
        norms = {
            "parameter_norm": trees.global_norm(after),
            "update_norm": trees.global_norm(trees.subtract(after, before)),
        }
        return {k: tf.cast(v, tf.float64) for k, v in norms.items()}

    def _accumulate_chunk(
        self,
        inputs: tf.Tensor,
        targets: tf.Tensor,
        sample_ids: tf.Tensor,
        first_micro_batch: tf.Tensor,
        clock: Clock,
        full_gradient: Sequence[tf.Tensor] | None,
        penalised: bool,
    ) -> None:
        """One replica's micro-batches of a chunk, one after the other."""
        size = self._settings.micro_batch_size
        rows = tf.shape(sample_ids)[0]
        stride = self._strategy.num_replicas_in_sync
        theta, state = self.objective.theta(), self.objective.state.values()

        def body(i: tf.Tensor) -> tf.Tensor:
            part = slice(i * size, tf.minimum((i + 1) * size, rows))
            batch = MicroBatch(
                inputs[part],
                targets[part],
                sample_ids[part],
                first_micro_batch + tf.cast(i, tf.int64) * stride,
                self._loss_weights(sample_ids[part], clock),
            )
            result = self.objective.gradient(theta, state, batch, clock, full_gradient, penalised=penalised)
            gradient = result.gradient
            if penalised:  # not in the pass before it, which measures the gradient itself
                gradient = transforms.clip_by_norm(
                    gradient, self._settings.micro_batch_clip_norm, self._settings.clip_norm_type
                ).gradient
            count = part.stop - part.start
            accuracy = fraction_correct(batch.targets, result.outputs)
            self._sums.add(
                count, [*gradient, *result.measurements, result.loss, accuracy, result.squared_norm]
            )
            if penalised and self._metrics is not None:  # once a step, not in the pass before it
                self._metrics.update_state(batch.targets, result.outputs)
            return i + 1

        tf.while_loop(lambda i: i * size < rows, body, [tf.constant(0)], parallel_iterations=1)

    def _loss_weights(self, sample_ids: tf.Tensor, clock: Clock) -> tf.Tensor | None:
        if not self._settings.multiplicative_noise:
            return None
        return transforms.hoffer_weights(
            self._settings.seed, clock.step, sample_ids, self._settings.multiplicative_noise
        )


_SUMMED_SCALARS = ("loss", "accuracy", "squared_norm")
