"""`FullBatchModel`: a Keras model whose `train_step` is one optimizer update over the whole update batch."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import (  # the losses, for Keras to find when it loads a compiled model
    focal,  # noqa: F401
    incorrect_only,  # noqa: F401
    keras_internals,
    losses,  # noqa: F401
    sigmoid,  # noqa: F401
)
from tf_fullbatch.core.micro_batch import Augmentation
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.collect import Samples, with_class_weight
from tf_fullbatch.errors import in_pythons_words
from tf_fullbatch.optim import keras_schedule  # noqa: F401, for Keras to find
from tf_fullbatch.optim.rate_factors import factors_text
from tf_fullbatch.optim.rules import registered  # noqa: F401, for Keras to find
from tf_fullbatch.training import fit_data, loop
from tf_fullbatch.training.drivers import ChunkListener
from tf_fullbatch.training.trainable import build_optimizer
from tf_fullbatch.training.trainer import Trainer
from tf_fullbatch.training.views import outputs_in_inference


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class FullBatchModel(keras.Model):
    """Trains a Keras network by descent on the exact gradient of large update batches.

    One step accumulates the gradient over the update batch (by default the whole training set) in micro-batches,
    reduces it once over the replicas of the current `tf.distribute` strategy, clips it, and makes one optimizer update
    (Geiping et al. 2022, "Stochastic Training is Not Necessary for Generalization"). Use it like any Keras model:

        model = FullBatchModel(network, penalty="forward_differences", penalty_strength=0.5, clip_norm=0.25)
        model.compile(optimizer=GradientDescent(0.1), loss=SparseCrossentropy())
        model.fit(images, labels, epochs=60)

    Args:
        network: The Keras model to train.
        augmentation_function: A registered Keras-serialisable callable (inputs, sample_ids, epoch) -> inputs, in
            place of the setting `augmentation`.
        **settings: Fields of `tf_fullbatch.config.step.StepConfig` (micro_batch_size, penalty, clip_norm, seed,
            ...), and Keras' `name`.

    Attributes:
        chunk_listeners: Functions called after each call within a step with (rounds done, rounds in the step), a
            round being one micro-batch of each replica; append yours.
        stop_requested: Asked before each call; says who or what asks for a stop, such as "SIGTERM", or None to go on.
            The step or evaluation under way is then dropped, and `fit` or `evaluate` raises
            `tf_fullbatch.errors.RunInterruptedError`, on every worker in the same step; for "SIGINT" `RunInterrupt`, a
            KeyboardInterrupt.

    Raises:
        UserError: Settings out of range or contradicting each other; a ValueError.
        TypeError: An unknown setting, or no network.
    """

    @in_pythons_words()
    def __init__(
        self, network: keras.Model, *, augmentation_function: Augmentation | None = None, **settings: Any
    ):
        if not isinstance(network, keras.Model):
            raise TypeError(f"network must be a built or unbuilt keras.Model, but it is {network!r}.")
        super().__init__(**{k: settings.pop(k) for k in ("name", "trainable", "dtype") if k in settings})
        self.network = network
        factors = settings.get("learning_rate_factors")
        if isinstance(factors, Mapping):
            settings["learning_rate_factors"] = factors_text(factors)
        self.settings = StepConfig.of(**settings)
        self.augmentation_function = augmentation_function
        self.chunk_listeners: list[ChunkListener] = []
        self.stop_requested: Callable[[], str | None] = lambda: None
        self._trainer = Trainer(self)
        self.built = network.built  # so that a fresh model may load weights

    @property
    def output_names(self) -> list[str]:
        """Names of the network's outputs; Keras names metrics by them."""
        return self.network.output_names

    @property
    def trainer(self) -> Trainer:
        """What trains the model, for callbacks that ask more of it than its figures."""
        return self._trainer

    @property
    def last_steps(self) -> list[dict[str, float]]:
        """Figures of the steps made by the last call: loss, gradient_norm, ... (`records.columns.STEP_COLUMNS`)."""
        return self._trainer.last_steps

    @property
    def last_step(self) -> dict[str, float]:
        """Figures of the last completed step; empty before the first."""
        return self.last_steps[-1] if self.last_steps else {}

    @property
    def steps_completed(self) -> int:
        """Optimizer updates made so far."""
        return int(self.optimizer.iterations.numpy())

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The network's outputs."""
        if self.settings.averages_views and not training:
            return outputs_in_inference(self.settings, getattr(self, "loss", None))(self.network, inputs)
        return self.network(inputs, training=training)

    def build(self, input_shape: Any) -> None:
        """Builds the network for inputs of this shape, or of a structure of shapes."""
        if not self.network.built:  # by a call: there are networks without a `build` of their own
            self.network(keras_internals.map_shapes(keras.KerasTensor, input_shape))
        self.built = True

    @in_pythons_words()
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = False,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        initial_step: int = 0,
    ) -> keras.callbacks.History:
        """Trains for a number of epochs, each of ceil(N / batch_size) updates.

        Args:
            x: Inputs `[samples, ...]` (images as uint8 for `tf_fullbatch` networks), or a list, tuple or dictionary of
                them for a network of several inputs; or `UpdateBatches`; or a finite `tf.data.Dataset`, generator or
                `PyDataset` of batches, which is gone through once and kept in memory (its batches are no updates).
            y: Targets `[samples]` or `[samples, ...]`, or the same of several outputs; only with arrays.
            batch_size: Samples per update; None for the whole set. Not with `UpdateBatches`.
            epochs: Epoch to stop after.
            verbose: As for `keras.Model.fit`.
            callbacks: Keras callbacks. A step's own figures are in `model.last_step`. Where one follows batches, each
                step is a call of its own; else short steps are made many per call, and seen in `model.last_steps`.
            validation_split: Share of the samples, the last ones, to validate on.
            validation_data: (inputs, targets) or (inputs, targets, sample_weight), or what x may be else, evaluated
                after every `validation_freq` epochs.
            shuffle: Draw a new order each epoch; not with `UpdateBatches`.
            class_weight: Class number -> factor on the losses of its samples.
            sample_weight: Factors on the losses, `[samples]` or `[samples, ...]`. The loss is reduced over the whole
                set as its Keras reduction says: by default the sum of `weight * loss` divided by the number of samples.
            initial_epoch: Epoch to start at.
            steps_per_epoch: How many batches a data set or generator is asked for.
            validation_steps: The same of the validation data.
            validation_batch_size: Not used: samples go through in micro-batches.
            validation_freq: As for `keras.Model.fit`.
            initial_step: Updates of the initial epoch that were made already, of a run that was interrupted
                within it.

        Returns:
            The history of the epochs: sample-weighted means over their steps.
        """
        keras_internals.assert_compiled(self, "fit")
        self._refuse_scope("fit")
        del validation_batch_size
        train, validation = fit_data.training_data(
            self.settings,
            x,
            y,
            batch_size=batch_size,
            shuffle=shuffle,
            sample_weight=sample_weight,
            class_weight=class_weight,
            steps_per_epoch=steps_per_epoch,
            validation_split=validation_split,
            validation_data=validation_data,
            validation_steps=validation_steps,
        )
        self.prepare(train, training=True)
        validate = None
        if validation is not None:
            self.prepare(validation, training=False)
            validate = functools.partial(self.evaluate_batches, validation)
        per_epoch, steps_left = self._trainer.begin(train, initial_step)
        listed = loop.callback_list(
            self, callbacks, verbose=verbose, epochs=epochs, steps=per_epoch, history=True
        )
        loop.run_epochs(
            self,
            listed,
            initial_epoch=initial_epoch,
            epochs=epochs,
            steps_left=steps_left,
            steps_per_epoch=per_epoch,
            validate=validate,
            validation_freq=validation_freq,
        )
        return self.history

    def train_step(self, most: int = 1) -> tuple[int, dict[str, float]]:
        """One optimizer update over one update batch, or several in one call; called by `fit`.

        Args:
            most: Most updates to make.

        Returns:
            How many were made, and the means over the epoch so far. The steps' own figures go to `last_steps`.

        Raises:
            NonFiniteError: Loss, gradient or rate is not finite, and that step was not applied; or its update is not.
            RunInterruptedError: A stop was requested; the step under way was not applied.
            DeviceMemoryError: A micro-batch does not fit the device.
        """
        return self._trainer.step(most)

    @in_pythons_words()
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        return_dict: bool = False,
    ) -> dict[str, float] | list[float] | float:
        """Loss, accuracy and compiled metrics over a data set, each sample counted once.

        Args:
            x: As for `fit`; `UpdateBatches` of one step per epoch.
            y: As for `fit`.
            batch_size: Not used: samples go through in micro-batches.
            verbose: As for `keras.Model.evaluate`.
            sample_weight: As for `fit`.
            steps: How many batches a data set or generator is asked for.
            callbacks: Keras callbacks.
            return_dict: Return a dictionary instead of a list.

        Returns:
            The loss, or a list of the loss and the compiled metrics, in Keras' order; or all by name.
        """
        del batch_size
        keras_internals.assert_compiled(self, "evaluate")
        self._refuse_scope("evaluate")
        data = fit_data.evaluation_data(self.settings, x, y, sample_weight, steps)
        self.prepare(data, training=False)
        listed = loop.callback_list(self, callbacks, verbose=verbose, epochs=1, steps=1, history=False)
        logs = loop.run_evaluation(listed, lambda: self.test_step(data))
        return logs if return_dict else loop.in_order(logs, self._trainer.metric_names)

    def test_step(self, data: UpdateBatches) -> dict[str, float]:
        """The evaluation of a whole data set; called by `evaluate`."""
        return self._trainer.evaluate(data)

    @in_pythons_words()
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> dict[str, float] | list[float] | float:
        """One update by these samples; arguments are those of `fit`.

        Returns:
            What `evaluate` returns, of these samples as trained on, before the update.
        """
        keras_internals.assert_compiled(self, "train_on_batch")
        self._refuse_scope("train_on_batch")
        samples = with_class_weight(Samples(x, y, sample_weight), class_weight)
        data = fit_data.evaluation_data(self.settings, *samples)
        self.prepare(data, training=True)
        self._trainer.begin(data, 0)
        self.reset_metrics()
        _, logs = self.train_step(1)
        return logs if return_dict else loop.in_order(logs, self._trainer.metric_names)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> dict[str, float] | list[float] | float:
        """`evaluate` of these samples."""
        return self.evaluate(x, y, sample_weight=sample_weight, verbose=0, return_dict=return_dict)

    def evaluate_batches(self, batches: UpdateBatches) -> dict[str, float]:
        """`evaluate` without Keras' progress bar, name -> figure."""
        results = self.evaluate(batches, verbose=0, return_dict=True)
        assert isinstance(results, dict)
        return results

    @in_pythons_words()
    def objective(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        step: int = 0,
        statistics: str = "batch",
        micro_batch_size: int | None = None,
    ) -> Objective:
        """The training objective of an update batch: loss, gradient and curvature at any parameters.

            objective = model.objective(images, labels)
            values, vectors = scipy.sparse.linalg.eigsh(objective.linear_operator(), k=3, which="LA")

        Args:
            x: Inputs `[samples, ...]`, or `UpdateBatches`.
            y: Targets `[samples]` or `[samples, ...]`; not with `UpdateBatches`.
            sample_weight: As for `fit`.
            step: Whose samples of an epoch, where `UpdateBatches` have several steps; dropout is always that of the
                next update.
            statistics: What batch normalisation normalises by: "batch" as training does, "frozen" or "recalibrated"
                in inference, see `Objective`.
            micro_batch_size: Samples per micro-batch; None for the model's.
        """
        keras_internals.assert_compiled(self, "objective")
        self._refuse_scope("objective")
        data = (
            x
            if isinstance(x, UpdateBatches)
            else fit_data.evaluation_data(self.settings, x, y, sample_weight, trained=True)
        )
        self.prepare(data, training=True)
        return self._trainer.objective(data, step, statistics=statistics, micro_batch_size=micro_batch_size)

    @in_pythons_words()
    def prepare(self, data: UpdateBatches, *, training: bool) -> None:
        """Builds network, optimizer, metrics and compiled functions for the data's shapes, once.

        `fit` and `evaluate` call it; call it yourself to have a model refused before anything else happens.

        Args:
            data: Update batches of the shapes to come.
            training: Prepare for `fit`; else for `evaluate`.

        Raises:
            ValueError: The model cannot be trained, or evaluated, on such data.
        """
        self._trainer.prepare(data, training=training)

    def reset_metrics(self) -> None:
        """Forgets the epoch's means, and resets the metrics given to `compile` on each replica by itself.

        Keras would reset them, and its own mean of the loss, from outside, which costs an all-reduce per variable.
        """
        self._trainer.reset_metrics()

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a model that is loaded, and makes the variables that its optimizer's saved values go to."""
        super().compile_from_config(config)
        if self.built:
            build_optimizer(self)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        config = super().get_config()
        config |= self.settings.to_flat()
        config["network"] = keras.saving.serialize_keras_object(self.network)
        config["augmentation_function"] = keras.saving.serialize_keras_object(self.augmentation_function)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict | None = None) -> "FullBatchModel":
        """The model of a configuration."""
        config = dict(config)
        for name in ("network", "augmentation_function"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)

    def _refuse_scope(self, method: str) -> None:
        if tf.distribute.in_cross_replica_context():
            raise ValueError(
                f"{method}() was called within strategy.scope(): only making and compiling the model belongs there. "
                f"Call {method}() after the with block."
            )
