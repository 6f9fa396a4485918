"""Settings of the data."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.classes import class_entries
from tf_fullbatch.data.sources.base import SourceSettings
from tf_fullbatch.data.sources.csv_table import CsvTable
from tf_fullbatch.data.sources.image_folder import ImageFolder
from tf_fullbatch.data.sources.npz import Npz
from tf_fullbatch.data.sources.own import OwnData
from tf_fullbatch.data.sources.registry import SOURCES
from tf_fullbatch.data.sources.tfds_source import TfdsSource
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.components import Group, chosen_by, described
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Group):
    """The data set and its splits."""

    dataset: str = setting(
        "digits",
        f"Data set: {described(SOURCES)}, the name of any TFDS set of images or texts and classes, such as cifar10, "
        "FILE.npz, FILE.csv (with --target), FOLDER/ (a subfolder of images per class), FILE.py:function or "
        "package.module:function.",
    )
    data_dir: str | None = setting(
        None, "TFDS' folder of prepared data sets. Unset: TFDS' own default.", affects_results=False
    )
    chosen_dataset: SourceSettings = chosen_by(
        "dataset",
        SOURCES,
        (part_names.is_npz, Npz),
        (part_names.is_csv, CsvTable),
        (part_names.is_users_code, OwnData),
        (part_names.is_folder, ImageFolder),
        (lambda name: True, TfdsSource),
    )
    classes: str | None = setting(
        None,
        "Keep the samples of some classes alone: the first so many, such as 4, or those listed by number or name, such "
        "as 3,5 or cat,dog, numbered anew in that order. Unset: all.",
        none_word="all",
    )
    train_size: int | None = setting(
        None,
        "Training samples: a class-balanced subset; smaller subsets are part of larger ones. Unset: all.",
        minimum=1,
    )
    validation_size: int = setting(
        0, "Samples held out of the training set for validation, class-balanced.", minimum=0
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        if self.classes is not None:
            class_entries(self.classes)

    def load(self) -> "Dataset":
        """Loads the whole data set into host memory.

        Raises:
            UserError: The set is unknown, not there and not to be had, of another kind, or too large for memory; or it
                has not the classes that are to be kept.
        """
        with self._naming_the_set():
            dataset = self.chosen_dataset.load(self.dataset, self.data_dir)
        return dataset if self.classes is None else dataset.of_classes(self.classes)

    def has_validation(self) -> bool:
        """Whether there are samples to validate on: held out, or of the data set's own.

        Raises:
            UserError: There is no such data set, or none that can be loaded.
        """
        if self.validation_size:
            return True
        with self._naming_the_set():
            return self.chosen_dataset.has_validation(self.dataset, self.data_dir)

    def count_training_samples(self) -> int | None:
        """Samples to train and validate on; None where that is not known before the data set is prepared or loaded.

        Raises:
            UserError: There is no such data set or folder.
        """
        if self.classes is not None:
            return None
        with self._naming_the_set():
            return self.chosen_dataset.count_training_samples(self.dataset, self.data_dir)

    def check_there(self) -> None:
        """Refuses a data set that is not there, where that can be told at once.

        Raises:
            UserError: It is not.
        """
        with self._naming_the_set():
            self.chosen_dataset.check_there(self.dataset)

    @contextlib.contextmanager
    def _naming_the_set(self) -> Iterator[None]:
        """Within it, errors begin with the flag that they are of, --dataset unless they name another."""
        try:
            yield
        except UserError as error:
            if str(error).startswith("--"):
                raise
            raise UserError(f"--dataset={self.dataset}: {error}") from error
