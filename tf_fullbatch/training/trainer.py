"""What a model holds while it trains or evaluates, and no file keeps: compiled parts, samples, the epoch."""

import functools
import time
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.micro_batch import StepScalars
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.checks import check_targets
from tf_fullbatch.data.resident import ResidentSource
from tf_fullbatch.data.stream import StreamSource
from tf_fullbatch.errors import DeviceMemoryError, NonFiniteError, RunInterruptedError, UserError
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.training import compiled_loss, parts, refusals, trainable
from tf_fullbatch.training.beginning import ModelBeginning
from tf_fullbatch.training.diagnosis import Origin, StepInQuestion, diagnose
from tf_fullbatch.training.drivers import ChunkListener, Driver, driver_of, source_of
from tf_fullbatch.training.figures import (
    EpochMeans,
    first_not_finite,
    named_figures,
    refuse_lost_weights,
    step_records,
)
from tf_fullbatch.training.pass_metrics import PassMetrics
from tf_fullbatch.training.step import WATCHED
from tf_fullbatch.training.timeline import Timeline
from tf_fullbatch.training.trial_step import Trial


class Trained(trainable.Trainable, Protocol):
    """What is asked of the model that is trained (`FullBatchModel`)."""

    chunk_listeners: list[ChunkListener]
    stop_requested: Callable[[], str | None]

    @property
    def steps_completed(self) -> int:
        """Optimizer updates made so far."""

    def build(self, input_shape: Any) -> None:
        """Builds the network."""


class Trainer:
    """Trains and evaluates a compiled model.

    Args:
        model: The model.
    """

    def __init__(self, model: Trained):
        self._model = model
        self._training: parts.TrainingParts | None = None
        self._evaluation: parts.EvaluationParts | None = None
        self._metrics: PassMetrics | None = None
        self._metrics_key: tuple = ()
        self._reset: Callable[[], Any] = lambda: None
        self._meaningless: list[str] = []
        self._timeline: Timeline | None = None
        self._driver: Driver | None = None
        self._means = EpochMeans()
        # Not the model's own: Keras would wrap every record to look for layers in it.
        self.last_steps: list[dict[str, float]] = []

    @property
    def metric_names(self) -> list[str]:
        """Names of what the compiled metrics and losses give, in the order in which Keras lists them."""
        return [] if self._metrics is None else self._metrics.names

    @property
    def has_accuracy(self) -> bool:
        """Whether accuracy has a meaning for the loss; after `prepare`."""
        return "accuracy" not in self._meaningless

    @property
    def training(self) -> parts.TrainingParts:
        """The compiled parts that train; after `prepare`."""
        assert self._training is not None
        return self._training

    def prepare(self, data: UpdateBatches, *, training: bool) -> None:
        """See `FullBatchModel.prepare`."""
        model = self._model
        refusals.refuse_unsupported(model)
        samples = sample_specs(data)
        refusals.refuse_other_inputs(model.network, samples.inputs)
        with model.distribute_strategy.scope():
            model.build(tf.nest.map_structure(lambda a: (None, *a.shape[1:]), data.inputs))
            if training:
                trainable.build_optimizer(model)
            outputs = trainable.network_outputs(model.network, samples.inputs)
            refusals.refuse_for_images(model, samples.inputs, outputs)
            loss = compiled_loss.training_loss(model, model.network, samples.targets, outputs)
            if keras_internals.compiled_metrics(model) is not None:
                loss.leaves(samples.targets, "targets")  # metrics want those of every output
            trainable.build_metrics(model, samples.targets, outputs)
            self._build_metrics(loss, compiled_loss.figure_names(model, model.network, loss, outputs))
        of_outputs = compiled_loss.classes(model, loss, outputs)
        for name, targets in zip(
            loss.losses, loss.leaves(data.targets, "targets", partial=True), strict=True
        ):
            if name in of_outputs:
                check_targets(targets, *of_outputs[name])
        key = (*keras_internals.compile_key(model), *samples)
        if training and (self._training is None or self._training.key != key):
            self._training = parts.build_training(model, loss, samples, self._metrics, key)
        elif training:
            refusals.refuse_changed_training(self.training.trained, model.network)
        if training and isinstance(model.optimizer, ObjectiveOptimizer):
            model.optimizer.refuse(ModelBeginning(model, self.training, data))
        if not training and (self._evaluation is None or self._evaluation.key != key):
            self._evaluation = parts.build_evaluation(model, loss, self._metrics, key)
        meaning = {
            "accuracy": loss.has_accuracy,
            "cross_entropy": loss.has_cross_entropy,
        }
        self._meaningless = [name for name, has_one in meaning.items() if not has_one]

    def begin(self, data: UpdateBatches, steps_made: int) -> tuple[int, Callable[[], int]]:
        """Begins to train on update batches, so many updates of an epoch made already.

        Returns:
            Steps per epoch, and a function that tells how many the present epoch still has.
        """
        model = self._model
        driver = self._driver = driver_of(
            self.training.steps,
            self._source(data, self.training.steps.functions.passes.count),
            lambda epoch, step: self.objective(data, step, epoch),
            one_function=self._is_one_function(data),
        )
        plan = driver.source.plan
        timeline = self._timeline = Timeline(plan, model.steps_completed, steps_made)
        self.training.steps.functions.passes.cleared()
        per_epoch = plan.steps_per_epoch
        return per_epoch, lambda: per_epoch - timeline.step_in_epoch(model.steps_completed)

    def _is_one_function(self, data: UpdateBatches) -> bool:
        """Whether all steps descend one function whose passes are asked for nothing beside."""
        trained = self.training
        beside = trained.penalty is not None or (self._metrics is not None and self._metrics.any)
        if beside or trained.by_xla or not trained.loss.call.state.is_only_measured:
            return False
        return not ModelBeginning(self._model, self.training, data).differs_from_step_to_step

    @property
    def keeps_statistics(self) -> bool:
        """Whether training changes anything of the network beside what the optimizer does; after `prepare`."""
        return bool(self.training.loss.call.state.updated_variables)

    def recalibrated(self, data: UpdateBatches, epoch: int) -> list[tuple[keras.Variable, tf.Tensor]]:
        """(variable, value) of what training changes beside the weights, as a pass over data leaves it if nothing older
        counts (`NetworkState.recalibrated`), at the present weights.

        Args:
            data: Of one step per epoch.
            epoch: Whose augmentation is applied.
        """
        state = self.training.loss.call.state
        values = self.objective(data, 0, epoch, statistics="recalibrated").recalibrated_state()
        changes = {id(v) for v in state.updated_variables}
        return [(v, value) for v, value in zip(state.variables, values, strict=True) if id(v) in changes]

    @property
    def batches(self) -> UpdateBatches:
        """The update batches that are trained on; after `begin`."""
        assert self._driver is not None
        return self._driver.source.batches

    @property
    def timeline(self) -> Timeline:
        """Where the present training stands; after `begin`."""
        assert self._timeline is not None
        return self._timeline

    def trial(self, epoch: int, step: int) -> Trial:
        """The step `step` of an epoch on the update batches that are trained on, made and taken back."""
        scalars = self.training.steps.functions.scalars(tf.constant(epoch, tf.int64))
        objective = self._objective(self.batches, step, scalars)
        return self.training.trial.made(self._source(self.batches), step, scalars, objective)

    def step(self, most: int) -> tuple[int, dict[str, float]]:
        """See `FullBatchModel.train_step`."""
        model, timeline, driver = self._model, self._timeline, self._driver
        assert timeline is not None
        assert driver is not None
        # A callback may have frozen layers.
        refusals.refuse_changed_training(self.training.trained, model.network)
        started = time.perf_counter()
        before = model.steps_completed
        epoch, step = timeline.epoch(before), timeline.step_in_epoch(before)
        try:
            made = driver.advance(epoch, step, most, self._go_on, self._listen)
        except tf.errors.ResourceExhaustedError as error:
            raise DeviceMemoryError(
                f"The device ran out of memory in a micro-batch of {model.settings.micro_batch_size} samples: "
                "choose a smaller --micro_batch_size or a smaller model."
            ) from error
        if made.stopped:
            raise self._interrupted()
        figures = made.figures[:-1] if made.refused else made.figures
        if not len(figures):
            self._refuse_non_finite(made.figures[-1], epoch, step)
        refuse_lost_weights(figures, before, model.network.trainable_variables)
        # A step refused after others of the same call is refused again by the next, once those are recorded.
        seconds = time.perf_counter() - started
        completed = before + len(figures)
        self.last_steps = step_records(figures, completed, timeline, seconds, self._meaningless)
        return len(figures), self._results(self._means.add(figures))

    def evaluate(self, data: UpdateBatches) -> dict[str, float]:
        """Loss, cross-entropy, accuracy and compiled metrics over a data set."""
        assert self._evaluation is not None
        self.reset_metrics()
        source = self._source(data)
        means = self._evaluation.full_pass.run(
            source, 0, parts.no_scalars(), between=lambda place: self._go_on()
        )
        if float(means.stop_votes):
            raise self._interrupted()
        loss, cross_entropy = means.weighted
        figures = {"loss": loss, "cross_entropy": cross_entropy, "accuracy": means.sampled}
        return self._results({name: float(value) for name, value in figures.items()})

    def objective(
        self,
        data: UpdateBatches,
        step: int,
        epoch: int | None = None,
        *,
        statistics: str = "batch",
        micro_batch_size: int | None = None,
    ) -> Objective:
        """The objective of a step's update batch; by default in the epoch that the next update would be of."""
        steps = data.steps_per_epoch
        if not 0 <= step < steps:
            raise UserError(f"step={step}: the data have {steps} step(s) per epoch, counted from 0.")
        if epoch is None:
            epoch = self._model.steps_completed // steps
        scalars = self.training.steps.functions.scalars(tf.constant(epoch, tf.int64))
        return self._objective(data, step, scalars, statistics=statistics, micro_batch_size=micro_batch_size)

    def reset_metrics(self) -> None:
        """Forgets the epoch's means, and resets the metrics given to `compile` on each replica by itself."""
        if self._metrics is not None and self._metrics.any:
            self._reset()
        self._means = EpochMeans()

    def _source(
        self, data: UpdateBatches, repeats: int = 1, micro_batch_size: int | None = None
    ) -> ResidentSource | StreamSource:
        model = self._model
        size = micro_batch_size or model.settings.micro_batch_size
        return source_of(data, size, model.distribute_strategy, repeats)

    def _objective(
        self,
        data: UpdateBatches,
        step: int,
        scalars: StepScalars,
        keep_noise: bool = False,
        *,
        statistics: str = "batch",
        micro_batch_size: int | None = None,
    ) -> Objective:
        source, trained = self._source(data, micro_batch_size=micro_batch_size), self.training
        micro_batches = source.plan.micro_batches(step)
        return Objective(
            trained.loss,
            trained.make_pass,
            source,
            step,
            scalars,
            micro_batches,
            trained.capabilities.refuse_inexact_products,
            keep_noise,
            statistics=statistics,
            stopped_by=self._model.stop_requested,
            penalty=trained.penalty,
            passes=trained.passes.setdefault((statistics, keep_noise, micro_batches), {}),
        )

    def _refuse_non_finite(self, row: np.ndarray, epoch: int, step: int) -> None:
        assert self._driver is not None
        name = first_not_finite(row, list(WATCHED))
        assert name is not None
        trained, source = self.training, self._driver.source
        scalars = trained.steps.functions.scalars(tf.constant(epoch, tf.int64))
        whole = trained.steps.functions.passes.whole_gradient
        question = StepInQuestion(source, step, scalars, whole)
        objective = self._objective(source.batches, step, scalars, keep_noise=True)
        origin = Origin("")
        if name != "learning_rate":
            origin = diagnose(objective, trained.loss, trained.change, question)
        number = self._model.steps_completed + 1
        value = named_figures(row)[name]
        raise NonFiniteError(WATCHED[name], value, number, origin.words, advice=origin.advice)

    def _go_on(self) -> bool:
        return self._model.stop_requested() is None

    def _interrupted(self) -> RunInterruptedError:
        return RunInterruptedError(self._model.stop_requested() or "another worker")

    def _listen(self, done: int, rounds: int) -> None:
        for listener in self._model.chunk_listeners:
            listener(done, rounds)

    def _results(self, figures: dict[str, float]) -> dict[str, float]:
        """Our figures and those of the metrics given to `compile`, which may be called as ours are."""
        assert self._metrics is not None
        ours = {name: value for name, value in figures.items() if name not in self._meaningless}
        return ours | self._metrics.result()

    def _build_metrics(self, loss: TrainingLoss, figures: dict[str, str]) -> None:
        """Makes the metrics of an epoch, once for each `compile`."""
        key = (*keras_internals.compile_key(self._model), *loss.names)
        if self._metrics is None or self._metrics_key != key:
            self._metrics = PassMetrics(keras_internals.compiled_metrics(self._model), loss.names, figures)
            self._metrics_key = key
            strategy, reset = self._model.distribute_strategy, self._metrics.reset
            self._reset = functools.partial(strategy.run, reset)
            if strategy.num_replicas_in_sync > 1:  # TensorFlow warns of such calls that are not compiled
                self._reset = keras_internals.compiled(self._reset)


def sample_specs(data: UpdateBatches) -> SampleSpecs:
    """Shapes and dtypes of a batch of data."""
    spec = data.element_spec
    return SampleSpecs(spec.inputs, spec.targets, spec.given_weights)
