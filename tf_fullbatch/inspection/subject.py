"""Trained weights that are asked about: a run at a step, its samples, and its loss as a function of the weights."""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.analysis.filters import Axes, filter_axes
from tf_fullbatch.analysis.landscape import digest
from tf_fullbatch.config.run import Config
from tf_fullbatch.core.keras_internals import layers_of, seed_variables
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.sources.dataset import Split
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import in_inference
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.run.opened import OpenedRun
from tf_fullbatch.run.splits import one_update_batch, training_batches

_SAMPLES_SEED = 0


class Subject:
    """The weights of a run at a step, and the samples that they are asked about.

    Args:
        run: Opened at the step; where its samples are not to be augmented, without augmentation.
        trained: The settings that it was trained with.
        name: What it is called.
        options: Which samples, and whether the network has an average of its weights.

    Attributes:
        run: As given.
        name: As given.
        split: "train", "validation" or "test".
        weights: "raw", "ema" or "swa".

    Raises:
        UserError: The run has no such samples or not as many, or its weights are not finite.
    """

    def __init__(self, run: OpenedRun, trained: Config, name: str, options: Options):
        self.run, self.name, self.split, self.weights = run, name, options.split, options.weights
        self._augments = options.augmentation and options.split == "train"
        crops_as_trained = self._augments or not run.splits.train.random_crops
        as_trained = run.config.step.augmentation == trained.step.augmentation
        self._is_augmented_as_trained = as_trained and crops_as_trained
        self._chosen = _chosen(run, options.split, options.samples)
        self._objectives: dict[tuple[str, str], Objective] = {}
        _refuse_non_finite(run)

    def __str__(self) -> str:
        averaged = "" if self.weights == "raw" else f" ({self.weights} weights)"
        return f"{self.name}, step {self.run.step}{averaged}"

    @property
    def theta(self) -> Tree:
        """The weights, Tree."""
        return [tf.convert_to_tensor(v.value) for v in self.variables]

    @property
    def variables(self) -> list[keras.Variable]:
        """The trainable variables, in the order of `theta`."""
        return list(self.run.network.trainable_variables)

    def refuse_inexact_products(self) -> None:
        """Raises a `UserError` where the network's second derivatives are not exact."""
        self.run.model.trainer.training.capabilities.refuse_inexact_products()

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(int(np.prod(v.shape)) for v in self.variables)

    @property
    def filter_axes(self) -> list[Axes]:
        """The axes that number each variable's filters."""
        return filter_axes(self.run.network)

    @property
    def evaluations(self) -> float:
        """Gradient evaluations per sample spent so far."""
        return sum(objective.evaluations for objective in self._objectives.values())

    def objective(self, statistics: str, split: str | None = None) -> Objective:
        """The run's loss on the samples, without penalty and weight decay, made once.

        Args:
            statistics: What batch normalisation normalises by.
            split: None for the subject's samples; "train" for all that the run is trained on.
        """
        key = (statistics, split or self.split)
        if key not in self._objectives:
            samples = self._chosen if split in (None, self.split) else _samples_of(self.run, str(split))
            batches = self._batches(samples)
            self.run.model.prepare(batches, training=True)
            self._objectives[key] = self.run.model.trainer.objective(
                batches, 0, epoch=int(self.run.epoch), statistics=statistics
            )
        return self._objectives[key]

    def _batches(self, samples: Split) -> UpdateBatches:
        """All samples as one update batch, in the order in which full-batch training takes them."""
        asked = samples if self._augments else samples.to_evaluate
        if samples is self.run.splits.train:
            return training_batches(self.run.config, asked).whole()
        return one_update_batch(self.run.config, asked)

    def conditions(self, kinds: Sequence[str]) -> Mapping[str, str]:
        """What the loss is a function of, in words: samples, statistics, augmentation, dropout.

        Args:
            kinds: What batch normalisation normalises by, one or more.
        """
        config, count = self.run.config, len(self._chosen)
        every = len(_samples_of(self.run, self.split))
        drawn = f"{count:,} of {every:,}, drawn with seed {_SAMPLES_SEED}"
        crops = ["random resized crops"] if self._augments and self.run.splits.train.random_crops else []
        augmentation = [*crops, *([config.step.augmentation] if config.step.augmentation != "none" else [])]
        return {
            "samples": f"{self.split}, {f'all {every:,}' if count == every else drawn}",
            "statistics": "; ".join(map(self._statistics_in_words, kinds)),
            "augmentation": ", ".join([*augmentation, self._copies_in_words()]) if augmentation else "none",
            "dropout": "; ".join(dict.fromkeys(map(self._dropout_in_words, kinds))),
        }

    def _copies_in_words(self) -> str:
        step = self.run.config.step
        if (
            self.split == "train"
            and len(self._chosen) == len(self.run.splits.train)
            and step.copies_per_pass > 1
        ):
            return f"in {step.copies_per_pass} copies"
        epoch = int(self.run.epoch)
        return f"of epoch {epoch}" if step.augment_copies is None else f"copy {epoch % step.augment_copies}"

    def recorded_loss(self, statistics: str) -> float:
        """The loss that the run recorded of these weights on these samples; nan where it recorded none.

        On training samples it is that of the next step, before it is made; on others that of an evaluation.
        """
        config, step = self.run.config, self.run.step
        if len(self._chosen) < len(_samples_of(self.run, self.split)):
            return math.nan
        if self.split == "train":
            full_batch = config.optimizer.batch_size is None
            as_trained = self._is_augmented_as_trained and self.weights == "raw"
            if statistics != "batch" or not full_batch or not as_trained:
                return math.nan
            history = self.run.history
            return float(history.loc[step + 1, "loss"]) if step + 1 in history.index else math.nan
        if statistics != "frozen" or config.step.averages_views:
            return math.nan
        table = self.run.evaluations
        rows = table[
            (table["step"] == step) & (table["split"] == self.split) & (table["weights"] == self.weights)
        ]
        return float(rows["loss"].iloc[-1]) if len(rows) else math.nan

    def digest(self) -> str:
        """A short name of the network's exact values, moving averages included."""
        return digest([v.value for v in self.run.network.weights])

    def _statistics_in_words(self, statistics: str) -> str:
        if not any(isinstance(la, keras.layers.BatchNormalization) for la in layers_of(self.run.network)):
            return f"{statistics} (the network has no batch normalisation)"
        size = self.run.config.step.micro_batch_size
        meaning = {
            "batch": f"of each micro-batch of {size}",
            "frozen": "the moving averages of the checkpoint",
            "recalibrated": "those of these samples, at each place",
        }
        return f"{statistics}, {meaning[statistics]}"

    def _dropout_in_words(self, statistics: str) -> str:
        if not seed_variables(self.run.network):
            return "none in the network"
        return "off in inference" if in_inference(statistics) else f"as in step {self.run.step + 1}"


def refuse_other_shapes(subjects: "list[Subject]") -> None:
    """Refuses weights that cannot be of one network.

    Raises:
        UserError: Two differ in a shape.
    """
    first, *others = ([tuple(v.shape) for v in s.variables] for s in subjects)
    for subject, other in zip(subjects[1:], others, strict=True):
        if other != first:
            raise UserError(
                f"{subjects[0]} and {subject} have weights of other shapes: compare runs of one network."
            )


def _samples_of(run: OpenedRun, split: str) -> Split:
    found = {"train": run.splits.train, **run.splits.evaluated}
    if split not in found:
        raise UserError(f"--split={split}: {run.path} has no such samples; it has {', '.join(found)}.")
    return found[split]


def _chosen(run: OpenedRun, split: str, samples: int | None) -> Split:
    every = _samples_of(run, split)
    if samples is None:
        return every
    if samples > len(every):
        raise UserError(f"--samples={samples}: {run.path} has {len(every)} {split} samples.")
    order = np.random.default_rng(_SAMPLES_SEED).permutation(len(every))
    return every.select(np.sort(order[:samples]))


def _refuse_non_finite(run: OpenedRun) -> None:
    for variable in run.network.weights:
        value = np.asarray(variable.value)
        if np.issubdtype(value.dtype, np.inexact) and not np.isfinite(value).all():
            raise UserError(
                f"{run.path}, step {run.step}: the weights {variable.path} are not finite; take an earlier checkpoint "
                "by --step."
            )
