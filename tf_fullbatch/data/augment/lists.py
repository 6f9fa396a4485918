"""--augmentation=crop4,flip,randaugment(n=2,m=9),cutout8: parts in the order in which they act."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.augment.base import AugmentationSettings, MixSettings, PartSettings
from tf_fullbatch.data.augment.registry import AUGMENTATIONS, PARTS
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.part_lists import parsed_parts
from tf_fullbatch.settings.part_names import OWN
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
            f"--{_SETTING}={text}: accepted are lists of {', '.join(PARTS)}, or alone {OWN}; a list within "
            "such code is tf_fullbatch.data.augment.lists.augmentation_list(TEXT).build(seed)."
        )
    numbers = {name: kind.number for name, kind in PARTS.items()}
    options = parsed_parts(_SETTING, text, PARTS, numbers)
    for name in options:
        if name in AUGMENTATIONS and name not in PARTS:
            parts = AUGMENTATIONS[name].as_list
            raise UserError(
                f"--{_SETTING}={text}: {name} stands by itself, without options"
                f"{f'; in a list it is {parts}' if parts else ''}."
            )
    refuse_unknown(
        _SETTING, options, PARTS | AUGMENTATIONS if text in options else PARTS, "augmentation", numbers
    )
    _check_mixing(text, options)
    if "flip" in options and "alternating_flip" in options:
        raise UserError(
            f"--{_SETTING}={text}: flip and alternating_flip turn images round twice; give one of them."
        )
    return AugmentationList(
        {
            name: with_own_options(_SETTING, name, PARTS[name], given, bracketed=True)
            for name, given in options.items()
        }
    )


def _check_mixing(text: str, names: Collection[str]) -> None:
    """Refuses several parts that mix samples, or one that is not the last."""
    mixing = [name for name in names if issubclass(PARTS[name], MixSettings)]
    if len(mixing) > 1:
        raise UserError(
            f"--{_SETTING}={text}: {' and '.join(mixing)} mix samples; give one of them, as the last part."
        )
    if mixing and mixing != list(names)[-1:]:
        raise UserError(
            f"--{_SETTING}={text}: {mixing[0]} mixes samples as they are in the end; put it last."
        )
