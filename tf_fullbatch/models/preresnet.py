"""--model=preresnet...: pre-activation residual networks, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NormalisedSettings, Published, shortcut, stem, width
from tf_fullbatch.models.resnet import ResNetSpec

if TYPE_CHECKING:
    import keras

PRERESNETS: dict[str, ResNetSpec] = {
    "preresnet18": ResNetSpec(blocks=(2, 2, 2, 2), width=64, default_shortcut="conv"),
    "preresnet34": ResNetSpec(blocks=(3, 4, 6, 3), width=64, default_shortcut="conv"),
    **{
        f"preresnet{6 * n + 2}": ResNetSpec(blocks=(n,) * 3, width=16, default_shortcut="pad")
        for n in (3, 9, 18)
    },
    **{
        f"preresnet{9 * n + 2}": ResNetSpec(
            blocks=(n,) * 3, width=16, bottleneck=True, default_shortcut="conv"
        )
        for n in (1, 18, 111)
    },
    "preresnet_tiny": ResNetSpec(blocks=(2, 1), width=8, default_shortcut="conv"),
}


_PUBLISHED = {
    name: (
        Published(parameters, 32, 10, f"by the formula; Zagoruyko & Komodakis 2016, table 5: {millions}M"),
    )
    for name, parameters, millions in (
        ("preresnet110", 1_727_962, "1.7"),
        ("preresnet164", 1_703_258, "1.7"),
        ("preresnet1001", 10_327_706, "10.2"),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PreResNet(NormalisedSettings):
    """Settings of a pre-activation residual network (He et al. 2016, "Identity mappings", arXiv 1603.05027).

    preresnet164 and preresnet1001 have bottlenecks, as there, and so has preresnet11. Where shapes change, zeros
    are appended (basic blocks of the networks of 16 channels) or a 1x1 convolution projects, unless --shortcut says
    otherwise.
    """

    published = _PUBLISHED
    width: int | None = width()
    stem: str = stem()
    shortcut: str = shortcut()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage's feature maps, normalised, activated and averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.layers import LayerChoices
        from tf_fullbatch.models.preactivation_blocks import PreActivationShape, preactivation_features

        spec = PRERESNETS[name]
        first = self.width or spec.width
        shape = PreActivationShape(
            blocks=spec.blocks,
            stem_width=first,
            widths=tuple(first * 2**stage for stage in range(len(spec.blocks))),
            bottleneck=spec.bottleneck,
            shortcut=spec.default_shortcut if self.shortcut == "auto" else self.shortcut,
        )
        return preactivation_features(x, shape, self.stem, LayerChoices.of(self, seed))
