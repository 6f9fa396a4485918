"""Update batches out of the arguments of `fit` and `evaluate`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.collect import Samples, collected, split_off, with_class_weight
from tf_fullbatch.errors import UserError


def training_data(
    settings: StepConfig,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    shuffle: bool,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    steps_per_epoch: int | None,
    validation_split: float,
    validation_data: Any,
    validation_steps: int | None,
) -> tuple[UpdateBatches, UpdateBatches | None]:
    """The samples to train on and those to validate on, if any; arguments are those of `FullBatchModel.fit`.

    Raises:
        UserError: Arguments that do not belong together, or data that are no samples.
    """
    split = None
    if isinstance(x, UpdateBatches):
        beside = {
            "y": y,
            "batch_size": batch_size,
            "shuffle": shuffle or None,
            "sample_weight": sample_weight,
            "class_weight": class_weight,
            "steps_per_epoch": steps_per_epoch,
            "validation_split": validation_split or None,
        }
        given = [name for name, value in beside.items() if value is not None]
        if given:
            raise UserError(f"{' and '.join(given)} belong to UpdateBatches where x is UpdateBatches.")
        for name, needed, there in (
            ("copies", settings.copies_per_pass, x.copies_in_all),
            ("mixes", settings.mixing is not None, x.mixes),
        ):
            if needed != there:
                raise UserError(
                    f"augmentation={settings.augmentation}, augment_copies={settings.augment_copies} need "
                    f"UpdateBatches(..., {name}={needed}), but these have {name}={there}."
                )
        train = x
    else:
        samples = collected(x, y, sample_weight, steps=steps_per_epoch)
        if validation_split:
            samples, split = split_off(samples, validation_split)
        train = _batches(
            settings, with_class_weight(samples, class_weight), batch_size, shuffle, trained=True
        )
    if validation_data is None:
        return train, None if split is None else _batches(settings, split)
    if split is not None:
        raise UserError("validation_split and validation_data cannot be given together: leave one out.")
    return train, _validation(settings, validation_data, validation_steps)


def evaluation_data(
    settings: StepConfig,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    steps: int | None = None,
    *,
    trained: bool = False,
) -> UpdateBatches:
    """The samples to evaluate on, as one update batch; arguments are those of `FullBatchModel.evaluate`.

    Args:
        trained: Whether they are those of training, with their copies and partners.

    Raises:
        UserError: As `training_data`.
    """
    if not isinstance(x, UpdateBatches):
        samples = collected(x, y, sample_weight, steps=steps, steps_name="steps")
        return _batches(settings, samples, trained=trained)
    if y is not None or sample_weight is not None or steps is not None:
        raise UserError("y, sample_weight and steps belong to UpdateBatches where x is UpdateBatches.")
    if x.steps_per_epoch != 1:
        raise UserError(
            f"evaluate() takes UpdateBatches of one step per epoch, but these have batch_size="
            f"{x.batch_size} for {len(x)} samples: leave batch_size unset."
        )
    return x


def _validation(settings: StepConfig, data: Any, steps: int | None) -> UpdateBatches:
    named = {"name": "validation_data", "steps_name": "validation_steps"}
    if isinstance(data, UpdateBatches):
        return evaluation_data(settings, data, steps=steps)
    if not isinstance(data, tuple | list):
        return _batches(settings, collected(data, steps=steps, **named))
    if len(data) not in (2, 3):
        raise UserError(
            "validation_data must be (inputs, targets) or (inputs, targets, sample_weight), or batches of these, but "
            f"it has {len(data)} parts."
        )
    return _batches(settings, collected(*data, steps=steps, **named))


def _batches(
    settings: StepConfig,
    samples: Samples,
    batch_size: int | None = None,
    shuffle: bool = False,
    *,
    trained: bool = False,
) -> UpdateBatches:
    inputs, targets, weights = samples
    copies = settings.copies_per_pass if trained else 1
    first = tf.nest.flatten(inputs)[:1]
    if isinstance(batch_size, int | np.integer) and first and first[0].ndim:
        batch_size = min(batch_size, max(1, len(first[0]) * copies))
    return UpdateBatches(
        inputs,
        targets,
        weights,
        batch_size=batch_size,
        shuffle=shuffle,
        seed=settings.seed,
        copies=copies,
        mixes=trained and settings.mixing is not None,
    )
