"""What a data source is asked for."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


class SourceSettings(Settings, ABC):
    """Settings of a data source; importing them imports neither NumPy nor TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""
    channels: ClassVar[int | None] = None
    """Channels of its images, where they are known before they are loaded."""

    @abstractmethod
    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """Loads a data set into host memory.

        Args:
            name: What --dataset names.
            data_dir: Existing folder of prepared sets, or where to prepare one; None for the source's own.

        Returns:
            The training set and, where the source has one, the labelled test set, each in a fixed order.

        Raises:
            UserError: The set is unknown, not there and not to be had, of another kind, or too large for memory.
        """

    @abstractmethod
    def count_training_samples(self, name: str, data_dir: str | None) -> int | None:
        """Samples of a data set's whole training set; None where that is not known before it is prepared.

        Raises:
            UserError: There is no such data set or folder.
        """

    def check_there(self, name: str) -> None:
        """Refuses a set that is not there, where that can be told at once.

        Raises:
            UserError: It is not.
        """
        del name

    def has_validation(self, name: str, data_dir: str | None) -> bool:
        """Whether the set has samples to validate on of its own.

        Raises:
            UserError: As `load`.
        """
        return self.load(name, data_dir).validation is not None


def image_size() -> Any:
    """The field of the flag --image_size, for every source that has it."""
    return setting(
        None, "Side in pixels to which images are resized. Unset: images must share one size.", minimum=4
    )


def vocabulary_size() -> Any:
    """The field of the flag --vocabulary_size, for every source of texts."""
    return setting(
        20_000,
        "Most tokens of a set of texts: padding, the unknown word, and the most frequent words of the training texts.",
        minimum=3,
    )


def text_length() -> Any:
    """The field of the flag --text_length, for every source of texts."""
    return setting(256, "Tokens to which each text is cut or filled.", minimum=1)


def target() -> Any:
    """The field of the flag --target, for every source whose samples have several things that may be learnt."""
    return setting(
        None,
        "What to learn: a column of FILE.csv, or the class of a TFDS set that has several (coarse_label of cifar100). "
        "Unset: of TFDS its own choice.",
    )
