"""What a Python program gives in the place of flags: names of parts, and objects under the names `python:NAME`."""

import inspect
import re
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_fullbatch.data.collect import collected
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.losses.own import of_keras as keras_losses
from tf_fullbatch.optim.losses.registry import LOSSES
from tf_fullbatch.optim.methods.own import of_keras as keras_optimizers
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.run.fingerprint import fingerprint
from tf_fullbatch.settings import own_parts
from tf_fullbatch.settings.given_parts import Given


class Parts(NamedTuple):
    """Parts of a run.

    Attributes:
        values: Setting -> value, of those that are given.
        given: Setting -> object, of those whose value is `python:NAME`.
        strategy: Where a model that is given as an object has its variables; None where the run makes the model.
    """

    values: dict[str, str]
    given: dict[str, Given]
    strategy: tf.distribute.Strategy | None


def parts_of(
    *,
    model: Any = None,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    optimizer: Any = None,
    loss: Any = None,
    augmentation: Any = None,
) -> Parts:
    """The parts that arguments stand for, each a name as its flag takes it, or an object; None where the flag decides.

    Raises:
        UserError: Something that cannot be such a part.
    """
    values: dict[str, str] = {}
    given: dict[str, Given] = {}
    made = {
        "model": model if model is None else _model(model),
        "dataset": _data(train, validation, test),
        "optimizer": optimizer if optimizer is None else _optimizer(optimizer),
        "loss": loss if loss is None else _loss(loss),
        "augmentation": augmentation if augmentation is None else _function("augmentation", augmentation),
    }
    for setting, part in made.items():
        if isinstance(part, tuple):
            values[setting], given[setting] = part
        elif part is not None:
            values[setting] = part
    strategy = model.distribute_strategy if isinstance(model, keras.Model) else None
    return Parts(values, given, strategy)


Part = str | tuple[str, Given]
"""A name, or a name and the object that it stands for."""


def _model(model: Any) -> Part:
    if isinstance(model, keras.Model):
        return "python:model", Given(lambda input_shape, num_classes: model, fingerprint(model))
    return _function("model", model)


def _data(train: Any, validation: Any, test: Any) -> Part | None:
    named = train is None or isinstance(train, str) or inspect.isfunction(train)
    if named:
        for name, split in (("validation", validation), ("test", test)):
            if split is not None:
                raise UserError(
                    f"{name} is given beside train={train!r}: give all splits as arrays, or none."
                )
        return train if train is None else _function("train", train)
    splits = {"train": train, "validation": validation, "test": test}
    pairs = {name: _pair(name, split) for name, split in splits.items() if split is not None}
    return "python:data", Given(lambda: pairs, fingerprint(pairs))


def _pair(name: str, split: Any) -> tuple[Any, Any]:
    is_pair = isinstance(split, tuple | list) and len(split) == 2
    if isinstance(split, tuple | list) and not is_pair:
        raise UserError(f"{name} has {len(split)} entries: give (inputs, targets), or a data set of batches.")
    samples = collected(*split, name=name) if is_pair else collected(split, name=name)
    if samples.weights is not None:
        raise UserError(f"{name} has sample weights, which runs do not take: train by FullBatchModel.fit.")
    if samples.targets is None:
        raise UserError(f"{name} has no targets: give (inputs, targets).")
    return samples.inputs, samples.targets


def _optimizer(optimizer: Any) -> Part:
    if isinstance(optimizer, keras.optimizers.Optimizer):
        raise UserError(
            f"optimizer is {type(optimizer).__name__} with a rate of its own: give the class, or a function of the "
            "rate (lambda rate: keras.optimizers.SGD(rate, momentum=0.9)); learning_rate and schedule say the rate."
        )
    if name := _name_within(keras.optimizers, optimizer):
        return f"keras:{name}"
    if isinstance(optimizer, str):
        return keras_optimizers().value(optimizer, OPTIMIZERS)
    return _function("optimizer", optimizer)


def _loss(loss: Any) -> Part:
    if name := _name_within(keras.losses, loss):
        return f"keras:{name}"
    if isinstance(loss, keras.losses.Loss | Mapping | list | tuple):
        return "python:loss", Given(lambda: loss, fingerprint(loss))
    if isinstance(loss, str):
        return keras_losses().value(loss, LOSSES)
    return _function("loss", loss)


def _name_within(module: Any, part: Any) -> str | None:
    """The name of a class of one of Keras' modules; None of anything else."""
    name = getattr(part, "__name__", "") if inspect.isclass(part) else ""
    return name if name and getattr(module, name, None) is part else None


def _function(argument: str, function: Any) -> Part:
    """A name that is one already; of a function that can be imported its module and name; else the function itself."""
    if isinstance(function, str):
        return function
    if not callable(function):
        raise UserError(
            f"{argument} is of type {type(function).__name__}: give a name as on the command line, a function, or "
            "what Keras has."
        )
    module = own_parts.module_of(function)
    if module is not None and PathFinder.find_spec(module.__name__.partition(".")[0]) is not None:
        return f"{module.__name__}:{function.__name__}"
    label = re.sub(r"\W", "", getattr(function, "__name__", "")) or "function"
    return f"python:{label}", Given(function, fingerprint(function))
