"""--model=wrn...: Wide ResNets, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NormalisedSettings, Published, dropout, stem, width

if TYPE_CHECKING:
    import keras

_STEM_WIDTH = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class WideResNetSpec:
    """The shape of a Wide ResNet: `depth = 6 n + 4` layers with n blocks in each of three stages."""

    depth: int
    factor: int
    """Channels of the stages over 16, 32 and 64."""


WIDE_RESNETS: dict[str, WideResNetSpec] = {
    f"wrn{depth}_{factor}": WideResNetSpec(depth=depth, factor=factor)
    for depth, factor in ((28, 10), (16, 8), (40, 2), (28, 2), (10, 1))
}


_PUBLISHED = {
    name: (
        Published(parameters, 32, 10, f"by the formula; Zagoruyko & Komodakis 2016, table 4: {millions}M"),
    )
    for name, parameters, millions in (
        ("wrn28_10", 36_479_194, "36.5"),
        ("wrn16_8", 10_961_370, "11.0"),
        ("wrn40_2", 2_243_546, "2.2"),
    )
} | {"wrn28_2": (Published(1_467_610, 32, 10, "by the formula of Zagoruyko & Komodakis 2016"),)}


@dataclass(frozen=True, kw_only=True, slots=True)
class WideResNet(NormalisedSettings):
    """Settings of a Wide ResNet (Zagoruyko & Komodakis 2016, arXiv 1605.07146): `wrn{depth}_{widening factor}`.

    Pre-activation blocks of two 3x3 convolutions, with dropout between them where it is asked for, and 1x1 convolutions
    around those that change shapes. The stem has 16 channels, or those of the first stage if they are fewer.
    """

    published = _PUBLISHED
    width: int | None = width()
    stem: str = stem()
    dropout: float = dropout()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage's feature maps, normalised, activated and averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.layers import LayerChoices
        from tf_fullbatch.models.preactivation_blocks import PreActivationShape, preactivation_features

        spec = WIDE_RESNETS[name]
        first = self.width or 16 * spec.factor
        shape = PreActivationShape(
            blocks=((spec.depth - 4) // 6,) * 3,
            stem_width=min(_STEM_WIDTH, first),
            widths=(first, 2 * first, 4 * first),
            dropout=self.dropout,
        )
        return preactivation_features(x, shape, self.stem, LayerChoices.of(self, seed))
