"""What an augmentation is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.settings.fields import Settings, setting

if TYPE_CHECKING:
    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.core.mixing import Mix


class AugmentationSettings(Settings, ABC):
    """Settings of random changes to training images; importing them imports no TensorFlow."""

    __slots__ = ()
    summary: ClassVar[str] = ""
    """What --help says of it, in brackets after its name."""
    channels: ClassVar[int | None] = None
    """Channels that images must have; None where any number does."""
    as_list: ClassVar[str] = ""
    """The list of parts that does the same; "" where there is none."""

    def refusal(self, shape: Sequence[int]) -> str | None:
        """Why images of this shape are not for it, beginning a clause; None where they are.

        Args:
            shape: Height, width and channels.
        """
        if self.channels in (None, shape[-1]):
            return None
        return f"needs images of {self.channels} channels, these have {shape[-1]}"

    @abstractmethod
    def build(self, seed: int) -> "Augmentation | None":
        """A stateless function (see `core.random_bits`); None for no change.

        Args:
            seed: Seed of the run.

        Returns:
            A function of (images uint8 [batch, height, width, channels], sample_ids int64 [batch], epoch int64
            scalar, or [batch] of each sample) to images of the same shape and type, which depends on nothing else.
        """


class PartSettings(AugmentationSettings):
    """An augmentation that may stand in a list; its fields are its options in brackets, `cutout(size=8)`."""

    __slots__ = ()
    number: ClassVar[str | None] = None
    """The option that a number right after the name stands for (`cutout8`); None where there is none."""
    source: ClassVar[str] = ""
    """Where it was published."""


class MixSettings(PartSettings):
    """A part that mixes each sample with a partner out of the whole set, and so its target too; the last of a list."""

    __slots__ = ()

    @abstractmethod
    def build_mix(self, seed: int) -> "Mix":
        """A stateless function of images, their partners', sample ids and epoch, see `core.mixing`.

        Args:
            seed: Seed of the run.
        """

    def build(self, seed: int) -> None:
        """Nothing is done to an image by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoAugmentation(AugmentationSettings):
    """Images as they are."""

    def build(self, seed: int) -> None:
        """Nothing."""


def padding_refusal(padding: int, shape: Sequence[int]) -> str | None:
    """Why images of this shape are not for crops of so much padding, some of which would have none of their pixels."""
    if padding < min(shape[:2]):
        return None
    return f"pads by {padding} pixels, but these images are {shape[0]}x{shape[1]}"


def padding() -> Any:
    """The field of the flag --augmentation_padding, for every augmentation that has it."""
    return setting(4, "Pixels of zero padding around an image before a random crop.", minimum=0)
