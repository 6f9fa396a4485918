"""`train`: a run from Python, on objects instead of flags."""

import difflib
import os
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.config.runtime import DTYPE_POLICIES
from tf_fullbatch.errors import UserError, in_pythons_words
from tf_fullbatch.optim.rate_factors import factors_text
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import last_row
from tf_fullbatch.run import execute
from tf_fullbatch.run.devices import keeping_precision
from tf_fullbatch.run.given import Parts, parts_of
from tf_fullbatch.run.interruption import StopRequests
from tf_fullbatch.run.opened import OpenedRun, opened
from tf_fullbatch.settings.given_parts import giving
from tf_fullbatch.settings.part_options import options_text

_OF_AN_OBJECT = ("strategy", "num_replicas", "simulate_devices")


@in_pythons_words()
def train(
    *,
    model: Any,
    train: Any,
    output_dir: str | os.PathLike[str],
    validation: Any = None,
    test: Any = None,
    optimizer: Any = None,
    loss: Any = None,
    augmentation: Any = None,
    **settings: Any,
) -> OpenedRun:
    """Trains a run, or goes on with the one in the folder, as `python -m tf_fullbatch.main` does.

        run = tf_fullbatch.train(
            model=network, train=(x, y), test=(x_test, y_test), output_dir="runs/mine",
            epochs=100, learning_rate=0.5, clip_norm=0.25,
        )
        run.history["gradient_norm"].plot()

    The folder holds all that a run's does; reports take it in. What is an object of this program (a model, arrays, a
    lambda) is recorded by a hash, and the same call goes on with the run after an interruption; `open_run` takes these
    objects too. A function of a module, or a name, stands for itself, so that any command can go on with the run.

    Args:
        model: A Keras model, whose weights are trained from what they are; a function `(input_shape, num_classes,
            **model_options)` that makes one; or a name as `--model` takes it, such as "resnet8" or "keras:MobileNetV2".
        train: (inputs, targets), each an array, a list, tuple or dictionary of arrays; a finite `tf.data.Dataset`,
            generator or `PyDataset` of batches of them; a function, or a name, as `--dataset` takes it.
        output_dir: The run's folder.
        validation: As `train`, where that is arrays or batches.
        test: As `validation`.
        optimizer: A class of `keras.optimizers`, a function `(learning_rate, **optimizer_options)` that returns an
            optimizer, or a name as `--optimizer` or Keras' `compile` takes it ("adam"). Default "gradient_descent".
        loss: A Keras loss, or its class, or a function (targets, outputs) of losses per sample, of several outputs a
            list or dictionary of such; or a name as `--loss` or Keras' `compile` takes it ("mse"). Default
            "cross_entropy", of class numbers and logits.
        augmentation: A function (inputs, sample_ids, epoch) of those alone, or one `(seed, **augmentation_options)`
            that returns it; or a name as `--augmentation` takes it.
        **settings: The flags of the command line, by name. Options of parts may be dictionaries.

    Returns:
        The run at its last step, as `open_run` gives it.

    Raises:
        UserError: An argument is refused; nothing is written then.
        RunError: The run ended otherwise than by its last epoch; what it did is in the folder.
        RunInterrupt: Ctrl-C ended it, a KeyboardInterrupt; the same call goes on from the last completed step.
        TypeError: An unknown setting.
    """
    for name, part in (("model", model), ("train", train), ("output_dir", output_dir)):
        if part is None:
            raise UserError(f"{name} is None: give one.")
    parts = parts_of(
        model=model,
        train=train,
        validation=validation,
        test=test,
        optimizer=optimizer,
        loss=loss,
        augmentation=augmentation,
    )
    config = _config(parts, os.fspath(output_dir), settings)
    folder = RunFolder(os.fspath(output_dir))
    with giving(parts.given), keeping_precision(), StopRequests() as stops:
        trained = execute.train(config, stops, parts.strategy, raises=True)
        if trained.parts is None:  # it had all its epochs
            return opened(folder, config, strategy=parts.strategy)
        return OpenedRun(folder, config, trained.parts, float(last_row(folder.metrics)["epoch"]))


def _config(parts: Parts, output_dir: str, settings: Mapping[str, Any]) -> Config:
    values = {setting.name: setting.default for _, setting in settings_fields()}
    for name in settings:
        if name not in values:
            near = difflib.get_close_matches(name, values, n=1)
            hint = (
                f"; did you mean {near[0]}?" if near else " (python -m tf_fullbatch.main --help lists them)."
            )
            raise TypeError(f"train() has no setting {name!r}{hint}")
    for name in ("dry_run", "mode"):
        if name in settings:
            raise UserError(f"{name} is for the command line: train() trains.")
    if parts.strategy is not None:
        for name in _OF_AN_OBJECT:
            if name in settings:
                raise UserError(
                    f"{name}={settings[name]} is given beside a model that is made already: give a function that makes "
                    "it, or make it within the scope of your strategy."
                )
        policy = keras.config.dtype_policy().name
        values["dtype_policy"] = policy if policy in DTYPE_POLICIES else values["dtype_policy"]
        if settings.get("dtype_policy", policy) not in (policy, values["dtype_policy"]):
            raise UserError(
                f"dtype_policy={settings['dtype_policy']} is given beside a model that is made already, under "
                f"{policy}: give a function that makes it, or call keras.config.set_dtype_policy before you make it."
            )
    for name in parts.values:
        if name in settings:
            raise UserError(
                f"{name}={settings[name]!r} is given beside the part itself: leave one of them out."
            )
    values |= {name: _plain(name, value) for name, value in settings.items()}
    return cli_flags.config_of(values | parts.values | {"output_dir": output_dir})


def _plain(name: str, value: Any) -> Any:
    """A setting's value as its flag has it: Python's numbers, options and factors as text."""
    if isinstance(value, Mapping):
        if name.endswith("_options"):
            return options_text(name.removesuffix("_options"), value)
        if name == "learning_rate_factors":
            return factors_text(value)
    return value.item() if isinstance(value, np.generic) else value
