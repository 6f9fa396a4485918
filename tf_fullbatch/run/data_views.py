"""What `python -m tf_fullbatch.data` shows of a run's data: counted classes, and samples as training would see them."""

import numpy as np
import tensorflow as tf

from tf_fullbatch.config.run import Config
from tf_fullbatch.core.micro_batch import Augmentation, augmented
from tf_fullbatch.core.mixing import Mix
from tf_fullbatch.data.augment.own import OwnAugmentation
from tf_fullbatch.data.batches import micro_batch
from tf_fullbatch.data.controls.duplicates import COPY
from tf_fullbatch.data.sources.dataset import Split
from tf_fullbatch.display.contact_sheet import ContactSheet
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import UserError
from tf_fullbatch.run.splits import Splits, training_batches
from tf_fullbatch.training.augmentation import equal_copies

_MOST_ROWS = 1000
"""Classes that are listed: ImageNet's."""


def class_counts(splits: Splits) -> str:
    """Samples of each class in each split, as a table; where there are no classes, samples of each split."""
    named = {"train": splits.train, **splits.evaluated}
    if not splits.train.has_classes:
        return format_table(("split", "samples"), [(n, str(len(split))) for n, split in named.items()], "<>")
    counts = {
        name: np.bincount(split.targets, minlength=split.num_classes)
        for name, split in named.items()
        if split.has_classes
    }
    names = _class_names(splits)
    rows = [(name, *(str(of[k]) for of in counts.values())) for k, name in enumerate(names[:_MOST_ROWS])]
    if len(names) > _MOST_ROWS:
        rows.append((f"and {len(names) - _MOST_ROWS:,} others", *("" for _ in counts)))
    rows.append(("all", *(str(of.sum()) for of in counts.values())))
    return format_table(("class", *counts), rows, "<" + ">" * len(counts))


def _class_names(splits: Splits) -> list[str]:
    """Each class' number and, where it has another name than that, its name."""
    numbers = [str(k) for k in range(splits.train.num_classes)]
    names = splits.class_names or numbers
    return [k if k == name else f"{k} {name}" for k, name in zip(numbers, names, strict=True)]


def augmented_samples(config: Config, splits: Splits, samples: int, epochs: int) -> ContactSheet:
    """Training samples as they are and in the first epochs, or as the first copies of a fixed set.

    Args:
        config: The run.
        splits: Its data.
        samples: How many, of each class in turn; all where there are fewer.
        epochs: How many; of a fixed set at most its copies.

    Raises:
        UserError: The samples are no images, or the augmentation is not for them.
    """
    train, copies = splits.train, config.step.augment_copies
    if config.controls.gaussian_inputs:
        raise UserError(
            "--gaussian_inputs makes numbers of pixels, no images: give --nosheet for the counts alone."
        )
    if not train.are_images:
        raise UserError(
            f"--dataset={config.data.dataset} has inputs {train.described('inputs')}, no images (uint8 of 4 axes): "
            "give --nosheet for the counts alone."
        )
    if train.input_shape[-1] not in (1, 3):
        raise UserError(
            f"--dataset={config.data.dataset} has images of {train.input_shape[-1]} channels, and a sheet shows 1 or "
            "3: give --nosheet for the counts alone."
        )
    if copies is not None and config.step.augmentation == "none":
        raise equal_copies(copies)
    positions = _classes_in_turn(train)[:samples]
    chosen = train.select(positions)
    batches, augment, mix = training_batches(config, train), _augmentation(config, train), _mix(config)
    columns, notes = [chosen.inputs[:]], [[""] * len(positions)]
    epochs = epochs if copies is None else min(epochs, copies)
    for epoch in range(epochs):  # copy c of a fixed set is what epoch c would be
        rows = tf.nest.map_structure(tf.constant, batches.with_partners(positions, epoch))
        raw, of_epoch = micro_batch(rows, tf.constant(0, tf.int64)), tf.constant(epoch, tf.int64)
        made = augmented(raw, of_epoch, augment, mix)
        columns.append(np.asarray(made.inputs))
        shares = () if made.mixed is None else np.asarray(made.mixed.share)
        notes.append([f"{1 - own:.0%} of another" for own in shares] or notes[0])
    labels = _labels(splits, positions)
    titles = ["as it is", *(f"{'epoch' if copies is None else 'copy'} {e}" for e in range(epochs))]
    return ContactSheet(
        np.stack(columns, 1), labels, titles, [list(of_row) for of_row in zip(*notes, strict=True)]
    )


def _labels(splits: Splits, positions: np.ndarray) -> list[str]:
    """Class and number of some training samples; of changed labels the former one, of the copy of a sample its own."""
    train, clean = splits.train, splits.clean_targets
    ids = train.sample_ids[positions]
    numbers = [f"sample {i % COPY}{' again' if i >= COPY else ''}" for i in ids]
    if not train.has_classes:
        return numbers
    names = _class_names(splits)
    labels = []
    for number, position in zip(numbers, positions, strict=True):
        label = train.targets[position]
        was = label if clean is None else clean[position]
        labels.append(f"class {names[label]}{'' if was == label else f' (was {names[was]})'}, {number}")
    return labels


def _classes_in_turn(train: Split) -> np.ndarray:
    """Positions of the first sample of every class, then of the second, and so on."""
    if not train.has_classes:
        return np.arange(len(train))
    nth = np.zeros(len(train), np.int64)
    for k in range(train.num_classes):
        of_class = np.flatnonzero(train.targets == k)
        nth[of_class] = np.arange(len(of_class))
    return np.lexsort((train.targets, nth))


def _augmentation(config: Config, train: Split) -> Augmentation | None:
    step = config.step
    if isinstance(step.chosen_augmentation, OwnAugmentation):
        return step.chosen_augmentation.function(step.augmentation, step.seed, train.inputs)
    return step.build_augmentation(train.input_shape, train.inputs.dtype.name)


def _mix(config: Config) -> Mix | None:
    mixing = config.step.mixing
    return None if mixing is None else mixing.build_mix(config.step.seed)
