"""--model=vit_...: vision transformers, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NetworkSettings, Published, image_sides, patch_size, require_sides, width

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class ViTSpec:
    """The shape of a vision transformer (Dosovitskiy et al. 2021, table 1)."""

    width: int
    """Numbers of a token; the hidden layer of a block's MLP has four times as many."""
    blocks: int
    """Blocks of attention and MLP."""
    heads: int
    """Heads of an attention, which share the width evenly."""
    patch: int
    """Side in pixels of the square that becomes a token."""
    published: tuple[Published, ...] = ()
    """Published numbers of parameters."""


def _tiny(patch: int, *published: Published) -> ViTSpec:
    """Ti of Touvron et al. 2021, table 1."""
    return ViTSpec(width=192, blocks=12, heads=3, patch=patch, published=published)


def _small(patch: int, *published: Published) -> ViTSpec:
    """S of Touvron et al. 2021, table 1."""
    return ViTSpec(width=384, blocks=12, heads=6, patch=patch, published=published)


_TABLE = "Touvron et al. 2021, table 1"

VITS: dict[str, ViTSpec] = {
    "vit_ti4": _tiny(4, Published(5_362_762, 32, 10, f"by the formula; {_TABLE}: 5M at 224 pixels")),
    "vit_s4": _small(4, Published(21_342_346, 32, 10, f"by the formula; {_TABLE}: 22M at 224 pixels")),
    "vit_ti16": _tiny(16, Published(5_717_416, 224, 1000, f"{_TABLE}: 5M; timm's deit_tiny_patch16_224")),
    "vit_s16": _small(16, Published(22_050_664, 224, 1000, f"{_TABLE}: 22M; timm's deit_small_patch16_224")),
    "vit_micro": ViTSpec(width=32, blocks=2, heads=2, patch=4),
}

_PUBLISHED = {name: spec.published for name, spec in VITS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class ViT(NetworkSettings):
    """Settings of a vision transformer; `vit_blocks.py` has its layers."""

    published = _PUBLISHED
    width: int | None = width()
    patch_size: int | None = patch_size()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The class token after the last block, normalised, `[batch, width]`.

        Raises:
            ValueError: No whole number of patches covers the image, or the heads do not share the width evenly.
        """
        from tf_fullbatch.models.vit_blocks import vit_features

        spec = VITS[name]
        width, patch = self.width or spec.width, self.patch_size or spec.patch
        if width % spec.heads:
            raise ValueError(
                f"--width={width}: the {spec.heads} heads of {name} share the width: give a multiple of {spec.heads}."
            )
        height, columns = image_sides(x)
        require_sides(x, patch, ", or a smaller --patch_size")
        if height % patch or columns % patch:
            raise ValueError(
                f"Images of {height}x{columns} pixels are no whole number of patches of {patch}x{patch}: give a "
                "--patch_size that divides both sides, or another --image_size."
            )
        return vit_features(x, spec, width, patch, seed)
