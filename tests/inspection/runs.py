"""Small runs in float64, made once per process, and what is asked of them."""

import functools
import shutil
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests.command import command
from tf_fullbatch import analyze_runs, open_run
from tf_fullbatch.config.run import Config
from tf_fullbatch.inspection.base import Figure
from tf_fullbatch.inspection.conduct import Answer
from tf_fullbatch.records.checkpoints import save_checkpoint
from tf_fullbatch.records.run_folder import RunFolder

MLP = (
    "--train_size=60",
    "--validation_size=20",
    "--model=mlp",
    "--width=1",
    "--activation=softplus",
    "--micro_batch_size=32",
    "--dtype_policy=float64",
    "--epochs=4",
    "--learning_rate=2",
    "--checkpoint_every=1",
    "--keep_checkpoints=9",
)
"""A run of 85 parameters and 4 steps."""

_HOME = tempfile.TemporaryDirectory()


@functools.cache
def trained(name: str, *flags: str) -> Path:
    """The folder of a run, made once."""
    folder = Path(_HOME.name) / name
    with mock.patch("tf_fullbatch.run.conclusion.plot_curves"):
        ended = command(*flags, f"--output_dir={folder}", "--quiet")
    if ended.code:
        raise AssertionError(ended.err)
    return folder


def mlp(seed: int = 0) -> Path:
    """A run of `MLP`."""
    return trained(f"mlp-{seed}", *MLP, f"--seed={seed}")


NORMALISED = """
import keras

def network(input_shape, num_classes):
    x = inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(1))(x)
    x = keras.layers.Activation("softplus")(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.2)(x)
    outputs = keras.layers.Dense(num_classes, kernel_initializer=keras.initializers.GlorotUniform(2))(x)
    return keras.Model(inputs, outputs)

def resized(input_shape, num_classes):
    x = inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(1, 1)(keras.layers.Rescaling(1 / 255)(x))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(keras.layers.Flatten()(x)))
"""


def own(name: str, *flags: str) -> Path:
    """A run of a network of `NORMALISED`."""
    file = Path(_HOME.name) / "networks_of_runs.py"
    file.write_text(NORMALISED)
    few = ("--train_size=100", "--micro_batch_size=32", "--epochs=3", "--dtype_policy=float64")
    return trained(
        name, f"--model={file}:{name}", *few, "--checkpoint_every=1", "--keep_checkpoints=9", *flags
    )


def normalised() -> Path:
    """A run with batch normalisation, dropout and augmentation."""
    return own("network", "--augmentation=crop")


def written(folder: Path, config: Config, steps: Sequence[int] = (1, 2)) -> Path:
    """A run that was not trained: its settings, and checkpoints of nothing."""
    run = RunFolder(folder).create()
    run.write_config(config, {})
    for step in steps:
        arrays = {"network/000/a": np.zeros(2)}
        save_checkpoint(run.checkpoints, step=step, epoch=step, arrays=arrays, metadata={})
    return folder


class AnalysisCase(unittest.TestCase):
    """Has a folder for results."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def one(self, run: Path, what: str, **settings: Any) -> Answer:
        """The answer to one question about one run."""
        (answer,) = analyze_runs(run, what, **{"output_dir": self.folder, "own_code": True, **settings})
        return answer

    def copy(self, run: Path) -> Path:
        """A run's folder to change."""
        return Path(shutil.copytree(run, self.folder / "copies" / run.name))


def value(answer: Answer, quantity: str, of: str = "") -> float:
    """The one figure of that name."""
    return figure(answer, quantity, of).value


def figure(answer: Answer, quantity: str, of: str = "") -> Figure:
    """The one figure of that name, of anything where it is not said."""
    (found,) = (f for f in answer.figures if f.quantity == quantity and of in ("", f.of))
    return found


@functools.cache
def dense(run: Path, step: int | None = None, curvature: str = "hessian") -> np.ndarray:
    """The curvature of the training loss as a matrix."""
    operator = open_run(run, step).objective().linear_operator(curvature=curvature)
    return operator @ np.eye(operator.shape[0])
