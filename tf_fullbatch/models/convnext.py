"""--model=convnext_...: ConvNeXts, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings, Published, image_sides, patch_size, require_sides, width

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvNeXtSpec:
    """The shape of a ConvNeXt (Liu et al. 2022, section 3.1)."""

    blocks: tuple[int, ...]
    """Blocks in each stage; every stage but the first halves the sides and doubles the width."""
    width: int
    """Channels of the first stage."""
    published: tuple[Published, ...] = ()
    """Published numbers of parameters."""


def _imagenet(parameters: int, millions: int) -> tuple[Published, ...]:
    source = f"torchvision's documentation; Liu et al. 2022, table 1: {millions}M"
    return (Published(parameters, 224, 1000, source),)


CONVNEXTS: dict[str, ConvNeXtSpec] = {
    "convnext_tiny": ConvNeXtSpec(blocks=(3, 3, 9, 3), width=96, published=_imagenet(28_589_128, 29)),
    "convnext_small": ConvNeXtSpec(blocks=(3, 3, 27, 3), width=96, published=_imagenet(50_223_688, 50)),
    "convnext_micro": ConvNeXtSpec(blocks=(1, 1), width=16),
}

_PUBLISHED = {name: spec.published for name, spec in CONVNEXTS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvNeXt(NetworkSettings):
    """Settings of a ConvNeXt; `convnext_blocks.py` has its layers."""

    published = _PUBLISHED
    width: int | None = width()
    patch_size: int | None = patch_size()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage, averaged over its pixels and normalised, `[batch, features]`.

        The stem takes patches of 4x4 pixels, as published, from sides of 96 pixels on; of 2x2 from 32 on, and of one
        below, unless a patch size is given.

        Raises:
            ValueError: A side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.convnext_blocks import convnext_features

        spec = CONVNEXTS[name]
        side = min(image_sides(x))
        patch = self.patch_size or (4 if side >= 96 else 2 if side >= 32 else 1)
        require_sides(x, patch * 2 ** (len(spec.blocks) - 1), ", or a smaller --patch_size")
        return convnext_features(x, spec, self.width or spec.width, patch, seed)
