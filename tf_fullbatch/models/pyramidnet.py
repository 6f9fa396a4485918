"""--model=pyramidnet...: networks whose every block widens, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import (
    NormalisedSettings,
    Published,
    stem,
    width,
    zero_init_residual,
)

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class PyramidNetSpec:
    """The shape of a PyramidNet of three stages."""

    blocks: int
    """Blocks in each stage."""
    alpha: int
    """Channels that all blocks together add to the first 16."""
    bottleneck: bool = False
    """Blocks of 1x1, 3x3, 1x1 convolutions with four times the channels outside, instead of two 3x3."""


PYRAMIDNETS: dict[str, PyramidNetSpec] = {
    **{f"pyramidnet110_a{alpha}": PyramidNetSpec(blocks=18, alpha=alpha) for alpha in (48, 84, 270)},
    "pyramidnet272_a200": PyramidNetSpec(blocks=30, alpha=200, bottleneck=True),
    "pyramidnet11_a12": PyramidNetSpec(blocks=1, alpha=12, bottleneck=True),
    "pyramidnet_tiny": PyramidNetSpec(blocks=1, alpha=5),
}


_PUBLISHED = {
    name: (Published(parameters, 32, 10, f"by the formula; Han et al. 2017, table 4: {millions}"),)
    for name, parameters, millions in (
        ("pyramidnet110_a48", 1_772_706, "1.7M"),
        ("pyramidnet110_a84", 3_904_446, "3.8M"),
        ("pyramidnet110_a270", 28_485_477, "28.3M"),
        ("pyramidnet272_a200", 26_210_842, "26.0M, which is 25,999,978 without norms"),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PyramidNet(NormalisedSettings):
    """Settings of a PyramidNet (Han et al. 2017, arXiv 1610.02915): `pyramidnet{depth}_a{alpha}`.

    Additive pyramids with zero-padded identity shortcuts, as published. --width is of the stem, 16 unless given.
    """

    published = _PUBLISHED
    width: int | None = width()
    stem: str = stem()
    zero_init_residual: bool = zero_init_residual()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage's feature maps, normalised, activated and averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.pyramid_blocks import pyramid_features

        return pyramid_features(x, PYRAMIDNETS[name], self, seed)
