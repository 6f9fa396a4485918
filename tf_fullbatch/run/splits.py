"""The data of a run: loaded, cut into splits, and those into update batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tf_fullbatch.config.run import Config
from tf_fullbatch.data.augment.own import OwnAugmentation
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.classes import class_entries
from tf_fullbatch.data.controls.apply import Controlled, controlled, training_count
from tf_fullbatch.data.encoded import EncodedImages
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources.dataset import Split, in_order
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.data.sources.known_sizes import KNOWN_FOLDERS, KNOWN_SIZES, SetSizes
from tf_fullbatch.data.sources.own import OwnData
from tf_fullbatch.data.sources.tfds_source import TfdsSource
from tf_fullbatch.data.splits import check_sizes, split_train
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.build import is_users_network


@dataclass(frozen=True, slots=True)
class Splits:
    """The data of a run.

    Attributes:
        train: Training samples.
        validation: Samples to validate on; None where there are none.
        test: Test samples; None where the source has none.
        test_split: The source's name of the split that serves as test; None where there is none.
        changed: Training samples whose label was changed, by both labels (`data.controls.settings.NOISY`, `CLEAN`).
        clean_targets: Labels of all training samples before they were changed; None where none are to be.
        notes: What controls did, a line each.
        class_names: Names of the classes, by number; None where they have none.
    """

    train: Split
    validation: Split | None
    test: Split | None
    test_split: str | None
    changed: Mapping[str, Split] = field(default_factory=dict)
    clean_targets: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None

    @property
    def evaluated(self) -> dict[str, Split]:
        """Split name -> samples of the splits that are evaluated."""
        named = {"validation": self.validation, "test": self.test}
        return {name: split for name, split in named.items() if split is not None} | dict(self.changed)

    def __str__(self) -> str:
        named = {"training": self.train, "validation": self.validation, "test": self.test}
        counted = {name: samples for name, samples in named.items() if samples is not None}
        text = ", ".join(f"{len(samples):,} {name}" for name, samples in counted.items())
        if self.test_split in (None, "test"):
            return text
        return f"{text} (the source's split {self.test_split!r}: it has no labelled test split)"


def load_splits(config: Config) -> Splits:
    """Loads the data set, cuts it into training, validation and test samples, and applies the run's controls.

    Raises:
        UserError: The data set or the sizes are not to be had, controls do not fit the data, or batches the training
            set.
    """
    data = config.data
    dataset = data.load()
    _check_held_out(data, dataset.validation is not None)
    balanced = dataset.train.has_classes
    train, validation = split_train(
        dataset.train.targets if balanced else np.zeros(len(dataset.train), np.int32),
        num_classes=dataset.num_classes if balanced else 1,
        train_size=data.train_size,
        validation_size=data.validation_size,
    )
    held_out = dataset.train.select(validation).to_evaluate if len(validation) else dataset.validation
    loaded = Controlled(
        _kept(config, dataset.train, train),
        held_out,
        dataset.test,
    )
    samples = controlled(
        config.controls, loaded, seed=config.step.seed, source=dataset.train, held_out=len(validation) > 0
    )
    splits = Splits(
        samples.train,
        samples.validation,
        samples.test,
        dataset.test_split,
        samples.changed(),
        samples.clean_targets,
        samples.notes,
        dataset.class_names,
    )
    if not splits.train.are_images:
        _refuse_image_settings(config, splits.train)
    config.check_training_set(len(splits.train))
    return splits


def decode_streamed(config: Config, splits: Splits) -> None:
    """Decodes once, before training, what is streamed and not decoded by then: a broken image would end the run later.

    Of many images it is remembered that all decode, with their statistics (`data.statistics_cache`).

    Raises:
        UserError: An image does not decode.
    """
    chosen = [splits.validation, splits.test if config.runtime.evaluate_test else None]
    if is_users_network(config.model.model):  # a built-in network has had statistics of all training images
        chosen.append(splits.train)
    for split in chosen:
        if split is not None and isinstance(split.inputs, EncodedImages):
            input_statistics(split.inputs)


def _kept(config: Config, whole: Split, positions: np.ndarray) -> Split:
    """The samples at ascending positions, and no second copy, unless the whole is needed still."""
    if len(positions) == len(whole):
        return whole
    users = isinstance(config.data.chosen_dataset, OwnData)
    return whole.select(positions) if users or config.controls.gaussian_inputs else whole.keep(positions)


def blank_splits(config: Config) -> Splits | None:
    """Black images in the place of a data set of known sizes, which take no memory; None where they are not known.

    Those of a folder are known by its name, where it is not there.

    Raises:
        UserError: The sizes do not fit, or images vary in size and no --image_size says theirs.
    """
    data = config.data
    sizes = _known_sizes(data)
    if sizes is None or not _ids_are_known(config):
        return None
    side = getattr(data.chosen_dataset, "image_size", None)
    height, width, channels = sizes.shape if side is None else (side, side, sizes.shape[2])
    if height is None or width is None:
        raise UserError(
            f"--dataset={data.dataset}: its images vary in size; give the one they are brought to, --image_size=224."
        )
    classes = sizes.classes
    if data.classes is not None:
        chosen = class_entries(data.classes)
        classes = chosen if isinstance(chosen, int) else len(chosen)

    def of_classes(samples: int) -> int:
        return round(samples * classes / sizes.classes)

    def blank(samples: int) -> Split:
        images = np.broadcast_to(np.uint8(0), (samples, height, width, channels))
        return in_order(images, (np.arange(samples) % classes).astype(np.int32), classes)

    _check_held_out(data, sizes.validation > 0)
    there, held_out = of_classes(sizes.train), data.validation_size
    check_sizes(there, data.train_size, held_out)
    validation = held_out or of_classes(sizes.validation)

    train = data.train_size or there - held_out
    if config.controls.changes_count:
        train = training_count(config.controls, np.arange(train), seed=config.step.seed)
    splits = Splits(
        blank(train),
        blank(validation) if validation else None,
        blank(of_classes(sizes.test)) if sizes.test else None,
        sizes.test_split,
    )
    config.check_training_set(len(splits.train))
    return splits


def _ids_are_known(config: Config) -> bool:
    """Whether which samples a control takes away or doubles can be told without the data."""
    data, controls = config.data, config.controls
    whole = data.train_size is None and not data.validation_size and data.classes is None
    return (
        whole
        or not controls.changes_count
        or (controls.leave_out is None and isinstance(controls.copies(), int))
    )


def _known_sizes(data: DataConfig) -> SetSizes | None:
    if isinstance(data.chosen_dataset, TfdsSource):
        return KNOWN_SIZES.get(data.dataset)
    folder = Path(data.dataset)
    if isinstance(data.chosen_dataset, ImageFolder) and not folder.is_dir():
        return KNOWN_FOLDERS.get(folder.name)
    return None


def _check_held_out(data: DataConfig, has_validation: bool) -> None:
    if has_validation and data.validation_size:
        raise UserError(
            f"--validation_size={data.validation_size}: --dataset={data.dataset} has a split 'validation' of its own. "
            "Leave it out."
        )


def _refuse_image_settings(config: Config, train: Split) -> None:
    built_in = not isinstance(config.step.chosen_augmentation, OwnAugmentation)
    given = {
        "augmentation": built_in and config.step.augmentation != "none",
        **config.step.averages_views,
    }
    for name in (name for name, is_given in given.items() if is_given):
        raise UserError(
            f"--{name} is for images (uint8 of 4 axes), but the inputs of --dataset={config.data.dataset} are "
            f"{train.described('inputs')}: leave it out."
        )


def training_batches(config: Config, train: Split) -> UpdateBatches:
    """The training samples as update batches."""
    return UpdateBatches(
        train.inputs,
        train.targets,
        batch_size=config.optimizer.batch_size,
        sample_ids=train.sample_ids,
        shuffle=config.optimizer.shuffle,
        seed=config.step.seed,
        copies=config.step.copies_per_pass,
        mixes=config.step.mixing is not None,
        chunk_micro_batches=config.runtime.chunk_micro_batches,
        on_device=config.runtime.keeps_data_on_device,
    )


def evaluation_batches(config: Config, samples: Split) -> UpdateBatches:
    """Samples to evaluate on, as one update batch, without random crops."""
    return one_update_batch(config, samples.to_evaluate)


def one_update_batch(config: Config, samples: Split) -> UpdateBatches:
    """Samples as they are, as one update batch in a fixed order."""
    return UpdateBatches(
        samples.inputs,
        samples.targets,
        sample_ids=samples.sample_ids,
        seed=config.step.seed,
        chunk_micro_batches=config.runtime.chunk_micro_batches,
        on_device=config.runtime.keeps_data_on_device,
    )
