"""--augmentation=crop4,flip,randaugment(n=2,m=9),cutout8: parts in the order in which they act."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.augment.base import AugmentationSettings, MixSettings, PartSettings
from tf_fullbatch.data.augment.registry import PARTS
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.part_lists import parsed_parts
from tf_fullbatch.settings.part_names import ACCEPTED
from tf_fullbatch.settings.several_parts import refuse_unknown, with_own_options

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation

_SETTING = "augmentation"


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed(AugmentationSettings):
    """What is chosen where --augmentation is a list: the parts stand in the text itself, see `augmentation_list`."""

    def build(self, seed: int) -> "Augmentation":
        """Not by itself.

        Raises:
            TypeError: Always.
        """
        raise TypeError("augmentation_list(text).build builds a list")


@dataclass(frozen=True, slots=True)
class AugmentationList:
    """Parts, one after the other.

    Attributes:
        parts: Name -> settings, in their order.
    """

    parts: Mapping[str, PartSettings]

    @property
    def mixing(self) -> MixSettings | None:
        """The last part, where it mixes samples."""
        last = list(self.parts.values())[-1]
        return last if isinstance(last, MixSettings) else None

    @property
    def channels(self) -> int | None:
        """Channels that images must have; None where any number does."""
        return next((part.channels for part in self.parts.values() if part.channels is not None), None)

    def refusal(self, shape: Sequence[int]) -> str | None:
        """Why images of this shape are not for it, as of `AugmentationSettings`, with the part's name."""
        reasons = {name: part.refusal(shape) for name, part in self.parts.items()}
        return next((f"{name} {reason}" for name, reason in reasons.items() if reason), None)

    def build(self, seed: int) -> "Augmentation":
        """The composition of the parts, each of which draws from streams of its own; without what mixes."""
        built = [part.build(seed) for part in self.parts.values() if not isinstance(part, MixSettings)]

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            for one in built:
                assert one is not None
                images = one(images, sample_ids, epoch)
            return images

        return augment


def augmentation_list(text: str) -> AugmentationList:
    """The list that a text says.

    Args:
        text: `NAME,NAMENUMBER,NAME(key=value,...)`.

    Raises:
        UserError: Something is no part or comes twice, or an option is wrong.
    """
    if ":" in text:
        raise UserError(
            f"--{_SETTING}={text}: accepted are lists of {', '.join(PARTS)}, or alone {ACCEPTED}; a list within "
            "such code is tf_fullbatch.data.augment.lists.augmentation_list(TEXT).build(seed)."
        )
    options = parsed_parts(_SETTING, text, {name: kind.number for name, kind in PARTS.items()})
    refuse_unknown(_SETTING, options, PARTS, "augmentation")
    for name in list(options)[:-1]:
        if issubclass(PARTS[name], MixSettings):
            raise UserError(f"--{_SETTING}={text}: {name} mixes samples as they are in the end; put it last.")
    return AugmentationList(
        {
            name: with_own_options(_SETTING, name, PARTS[name], given, bracketed=True)
            for name, given in options.items()
        }
    )
