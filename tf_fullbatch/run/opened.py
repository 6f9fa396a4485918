"""A run, opened again: its network, data, records and training objective."""

import functools
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.core.objective import Objective
from tf_fullbatch.errors import UserError, in_pythons_words
from tf_fullbatch.records import tables
from tf_fullbatch.records.checkpoints import Checkpoint, load_latest, load_step
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.measured import read_measurements
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy
from tf_fullbatch.run.given import parts_of
from tf_fullbatch.run.own_files import check_unchanged, refuse_unnamed
from tf_fullbatch.run.splits import training_batches
from tf_fullbatch.settings.given_parts import giving

if TYPE_CHECKING:
    import pandas as pd


class OpenedRun:
    """A run at one of its checkpoints; see `open_run`.

    Attributes:
        path: Its folder.
        config: Its settings.
        step: Updates made before the checkpoint.
        epoch: Passes over the training set made before it.
        splits: Its data: `train`, `validation` and `test`, each with `inputs`, `targets` and `sample_ids`.
        model: The compiled `FullBatchModel`, optimizer's state included.
    """

    def __init__(self, folder: RunFolder, config: Config, parts: build.Assembly, epoch: float):
        self.path: Path = folder.path
        self.config = config
        self.step, self.epoch = parts.model.steps_completed, epoch
        self.splits = parts.splits
        self.model = parts.model
        self._folder = folder
        self._average = parts.average

    def __repr__(self) -> str:
        """Which run, where in it, and on what."""
        return f"<OpenedRun {self.path} at step {self.step}, epoch {self.epoch:g}: {self.splits} samples>"

    @property
    def network(self) -> keras.Model:
        """The network, from raw inputs to outputs."""
        return self.model.network

    @property
    def loss(self) -> keras.losses.Loss:
        """The training loss, without the penalty and what layers add."""
        return self.model.loss

    @functools.cached_property
    def history(self) -> "pd.DataFrame":
        """metrics.csv: one row per step, indexed by `step`."""
        return tables.read_table(self._folder.metrics, STEP_COLUMNS).set_index("step")

    @functools.cached_property
    def evaluations(self) -> "pd.DataFrame":
        """evaluations.csv: one row per evaluated split and kind of weights."""
        return tables.read_table(self._folder.evaluations, EVALUATION_COLUMNS)

    @functools.cached_property
    def measurements(self) -> "pd.DataFrame":
        """measurements.csv: one row per figure that was measured along training; none where nothing was."""
        return read_measurements(self._folder)

    def objective(self, *, step: int = 0) -> Objective:
        """What the run's next update would descend, its augmentation and dropout included.

        Args:
            step: Whose samples of an epoch, where an epoch has several steps.
        """
        return self.model.objective(training_batches(self.config, self.splits.train), step=step)

    def use_average(self, kind: str | None = None) -> None:
        """Puts an average of the weights in the weights' place.

        Args:
            kind: "ema" or "swa"; None for the one that the run keeps.

        Raises:
            UserError: The run kept none, or none of this kind, or there was none yet at this step.
        """
        settings = {"ema": "ema_decay", "swa": "swa_start_epoch"}
        kind = kind or (None if self._average is None else self._average.kind)
        if kind is None:
            raise UserError(
                f"{self.path}: the run kept no moving average of its weights (--{', --'.join(settings.values())})."
            )
        if kind not in settings:
            raise UserError(f"kind={kind!r}: accepted are {', '.join(settings)}.")
        setting = settings[kind]
        if self._average is None or self._average.kind != kind:
            raise UserError(f"{self.path}: the run kept no {kind} average of its weights (--{setting}).")
        if not self._average.begun:
            raise UserError(
                f"{self.path}: at step {self.step} there is no {kind} average yet (--{setting}): choose a later --step."
            )
        self._average.apply()


@in_pythons_words()
def open_run(
    output_dir: str | os.PathLike[str], step: int | None = None, *, own_code: bool = False, **parts: Any
) -> OpenedRun:
    """Opens a run at one of its kept checkpoints. Nothing is written; Keras' dtype policy becomes the run's.

        run = open_run("runs/quickstart")
        run.history["gradient_norm"].plot()
        values, vectors = scipy.sparse.linalg.eigsh(run.objective().linear_operator(), k=3, which="LA")

    Args:
        output_dir: The run's folder.
        step: Updates made before the checkpoint; None for the newest.
        own_code: Run the Python files that the run's settings name (`--model=FILE.py:function`); say so only of a
            folder whose origin you know.
        **parts: Objects that the run was trained on by `tf_fullbatch.train`, under the names of its arguments (`model`,
            `train`, ...); a model gets the checkpoint's weights.

    Returns:
        The run: `network`, `splits`, `config`, `history`, `evaluations`, `measurements`, `loss`, `objective()` (see
        `OpenedRun`).

    Raises:
        UserError: There is no run or no such checkpoint, its data are not to be had, or its code is not what it was.
    """
    accepted = inspect.signature(parts_of).parameters
    for name in parts:
        if name not in accepted:
            raise TypeError(
                f"open_run() got an unexpected keyword argument {name!r}; parts are {', '.join(accepted)}."
            )
    folder = RunFolder(output_dir)
    config = folder.read_config()
    given = parts_of(**parts)
    with giving(given.given):
        if not own_code:
            refuse_unnamed(folder, config, given.values)
        check_unchanged(folder, config)
        return opened(folder, config, step, given.strategy)


def opened(
    folder: RunFolder, config: Config, step: int | None = None, strategy: tf.distribute.Strategy | None = None
) -> OpenedRun:
    """A run at a checkpoint, its newest unless `step` says which; `strategy` where the settings do not say it."""
    checkpoint, _ = kept_checkpoint(folder, step)
    parts = build.assemble(config, strategy or choose_strategy(config.runtime), checkpoint)
    return OpenedRun(folder, config, parts, checkpoint.epoch)


def kept_checkpoint(folder: RunFolder, step: int | None = None) -> tuple[Checkpoint, list[str]]:
    """The checkpoint of a step; or the newest that can be read, and a line for each newer one that cannot.

    Raises:
        UserError: There is none.
    """
    if step is not None:
        return load_step(folder.checkpoints, step), []
    checkpoint, notes = load_latest(folder.checkpoints)
    if checkpoint is None:
        raise UserError(
            f"--output_dir={folder.path}: there is no checkpoint to evaluate or open. Train first."
        )
    return checkpoint, notes
