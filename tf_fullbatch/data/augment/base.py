"""What an augmentation is asked for."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.micro_batch import Augmentation


class AugmentationSettings(Settings, ABC):
    """Settings of random changes to training images; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""
    channels: ClassVar[int | None] = None
    """Channels that images must have; None where any number does."""

    @abstractmethod
    def build(self, seed: int) -> "Augmentation | None":
        """A stateless function (see `core.random_bits`); None for no change.

        Args:
            seed: Seed of the run.

        Returns:
            A function of (images uint8 [batch, height, width, channels], sample_ids int64 [batch], epoch int64
            scalar) to images of the same shape and type, which depends on nothing else. A fixed data set of N
            augmented copies is epochs 0..N-1, over and over.

        Raises:
            UserError: A package that it needs is missing.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAugmentation(AugmentationSettings):
    """Images as they are."""

    def build(self, seed: int) -> None:
        """Nothing."""


def padding() -> Any:
    """The field of the flag --augmentation_padding, for every augmentation that has it."""
    return setting(4, "Pixels of zero padding around an image before a random crop.", minimum=0)
