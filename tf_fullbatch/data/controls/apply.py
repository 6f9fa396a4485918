"""All controls of a run, in one place and one order.

After the data set is loaded, cut to its `--classes` and split:

1. `--leave_out` takes training samples away; the others stay who they are (a subset does not fill up).
2. `--label_noise` or `--random_labels` changes labels, of training samples and of those held out of the training set
   for validation unless `--nonoisy_validation` says otherwise; never of the source's own validation or test samples.
3. `--pixel_shuffle` or `--gaussian_inputs` changes the inputs of all splits.
4. `--duplicate` has training samples twice, changed as they are.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from tf_fullbatch.data.controls.duplicates import COPY, copied_positions
from tf_fullbatch.data.controls.gaussian import gaussian_like
from tf_fullbatch.data.controls.labels import noisy_labels, wrong_probability
from tf_fullbatch.data.controls.leave_out import kept_positions
from tf_fullbatch.data.controls.pixels import shuffled_pixels
from tf_fullbatch.data.controls.settings import CLEAN, NOISY, UNIFORM, ControlConfig
from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.sources.dataset import Split
from tf_fullbatch.errors import UserError


class Controlled(NamedTuple):
    """The samples of a run under its controls.

    Attributes:
        train: Training samples.
        validation: Samples to validate on, or None.
        test: Samples to test on, or None.
        clean_targets: int `[training samples]`, the labels before they were changed; None where none are to be.
        notes: What was done, in words, a line each.
    """

    train: Split
    validation: Split | None
    test: Split | None
    clean_targets: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def changed(self) -> dict[str, Split]:
        """The training samples whose label was changed, as `NOISY` and as `CLEAN`; empty where there are none."""
        if self.clean_targets is None:
            return {}
        positions = np.flatnonzero(self.train.targets != self.clean_targets)
        if not len(positions):
            return {}
        noisy = self.train.select(positions)
        return {NOISY: noisy, CLEAN: dataclasses.replace(noisy, targets=self.clean_targets[positions])}


def controlled(
    controls: ControlConfig,
    samples: Controlled,
    *,
    seed: int,
    source: Split,
    held_out: bool,
) -> Controlled:
    """The samples with every control that is asked for; the same object where none is.

    Args:
        controls: What is asked for.
        samples: As loaded and split.
        seed: The run's.
        source: The whole training set that they are of, whose statistics Gaussian inputs have.
        held_out: Whether the validation samples are of that set.

    Raises:
        UserError: A control that these data cannot have.
    """
    if controls.leave_out is not None:
        of_validation = samples.validation.sample_ids if held_out and samples.validation else np.zeros(0, int)
        kept = kept_positions(controls.leave_out, samples.train.sample_ids, of_validation)
        samples = _noted(
            samples,
            f"{len(samples.train) - len(kept):,} training samples left out",
            train=samples.train.select(kept),
        )
    if controls.changes_labels:
        samples = _with_noise(controls, samples, seed, held_out)
    if controls.pixel_shuffle is not None:
        samples = _shuffled(controls.pixel_shuffle, samples, seed, held_out)
    if controls.gaussian_inputs:
        samples = _gaussian(samples, seed, source, held_out)
    copies = controls.copies()
    return samples if copies is None else _duplicated(copies, samples, seed)


def training_count(controls: ControlConfig, sample_ids: np.ndarray, *, seed: int) -> int:
    """How many training samples there are under the controls.

    Args:
        controls: What is asked for.
        sample_ids: int64 `[samples]`, before.
        seed: The run's.

    Raises:
        UserError: A control that these samples cannot have.
    """
    if controls.leave_out is not None:
        sample_ids = sample_ids[kept_positions(controls.leave_out, sample_ids, np.zeros(0, int))]
    copies = controls.copies()
    return len(sample_ids) + (0 if copies is None else len(_copied(copies, sample_ids, seed)))


def _noted(samples: Controlled, note: str, **changes: Any) -> Controlled:
    return samples._replace(notes=(*samples.notes, note), **changes)


def _with_noise(controls: ControlConfig, samples: Controlled, seed: int, held_out: bool) -> Controlled:
    train = samples.train
    name = "random_labels" if controls.random_labels else "label_noise"
    if not train.has_classes or train.num_classes < 2:
        raise UserError(
            f"--{name}: the targets of this data set are {train.described('targets')}, not one of several classes per "
            "sample; leave it out."
        )
    probability = 1.0 if controls.random_labels else controls.label_noise
    convention = UNIFORM if controls.random_labels else controls.label_noise_convention

    def noisy(split: Split) -> Split:
        labels = noisy_labels(
            split.targets,
            split.sample_ids,
            split.num_classes,
            seed=seed,
            probability=probability,
            convention=convention,
        )
        return dataclasses.replace(split, targets=labels)

    changed, validation = noisy(train), samples.validation
    count = int(np.sum(changed.targets != train.targets))
    of_which = f"all {train.num_classes} classes" if convention == UNIFORM else "the other classes"
    wrong = wrong_probability(train.num_classes, probability, convention)
    note = (
        f"{name.replace('_', ' ')}: a label is drawn anew with probability {probability:g} from {of_which} (wrong with "
        f"{wrong:g}); {count:,} of {len(train):,} training labels are others now ({count / len(train):.2%})"
    )
    if validation is not None:
        also = held_out and controls.noisy_validation
        validation = noisy(validation) if also else validation
        note += f"; validation labels {'too' if also else 'clean'}"
    return _noted(samples, note, train=changed, validation=validation, clean_targets=train.targets)


def _splits(samples: Controlled, held_out: bool) -> dict[str, tuple[str, Split]]:
    """Field -> (whose ids they are, samples) of the splits there are."""
    there = {
        "train": ("train", samples.train),
        "validation": ("train" if held_out else "validation", samples.validation),
        "test": ("test", samples.test),
    }
    return {field: (ids, split) for field, (ids, split) in there.items() if split is not None}


def _shuffled(kind: str, samples: Controlled, seed: int, held_out: bool) -> Controlled:
    _refuse_other_inputs("pixel_shuffle", samples.train)
    changed = {
        field: dataclasses.replace(
            split, inputs=shuffled_pixels(split.inputs, split.sample_ids, seed=seed, kind=kind, split=ids)
        )
        for field, (ids, split) in _splits(samples, held_out).items()
    }
    how = "by one permutation" if kind == "fixed" else "each sample's by a permutation of its own"
    return _noted(samples, f"pixels shuffled {how}", **changed)


def _gaussian(samples: Controlled, seed: int, source: Split, held_out: bool) -> Controlled:
    _refuse_other_inputs("gaussian_inputs", samples.train)
    mean, std = input_statistics(source.inputs)
    changed = {
        field: dataclasses.replace(
            split, inputs=gaussian_like(split.input_shape, split.sample_ids, mean, std, seed=seed, split=ids)
        )
        for field, (ids, split) in _splits(samples, held_out).items()
    }
    return _noted(
        samples, "inputs are Gaussian numbers, float32, in units of pixel / 255 for pixels", **changed
    )


def _refuse_other_inputs(name: str, split: Split) -> None:
    if isinstance(split.inputs, EncodedImages):
        raise UserError(
            f"--{name} is for images in memory, and these stay in their files: give --stream_images=off (and no "
            "--random_resized_crop)."
        )
    if not isinstance(split.inputs, np.ndarray) or split.inputs.dtype.name not in ("uint8", "float32"):
        raise UserError(
            f"--{name}: the inputs of this data set are {split.described('inputs')}, not one array of pixels or "
            "numbers; leave it out."
        )


def _duplicated(copies: int | float, samples: Controlled, seed: int) -> Controlled:
    train = samples.train
    chosen = _copied(copies, train.sample_ids, seed)
    both = np.concatenate([np.arange(len(train)), chosen])
    ids = np.concatenate([train.sample_ids, train.sample_ids[chosen] + COPY])
    clean = None if samples.clean_targets is None else samples.clean_targets[both]
    return _noted(
        samples,
        f"{len(chosen):,} training samples twice",
        train=dataclasses.replace(train.select(both), sample_ids=ids),
        clean_targets=clean,
    )


def _copied(copies: int | float, sample_ids: np.ndarray, seed: int) -> np.ndarray:
    """Positions of the samples that are there twice."""
    if isinstance(copies, int) and copies > len(sample_ids):
        raise UserError(
            f"--duplicate={copies}: there are {len(sample_ids):,} training samples; give at most as many."
        )
    return copied_positions(sample_ids, copies, seed=seed)
