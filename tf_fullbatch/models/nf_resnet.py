"""--model=nf_resnet...: residual networks without normalisation, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import (
    NetworkSettings,
    activation,
    stem,
    width,
    zero_init_residual,
)
from tf_fullbatch.models.resnet import ResNetSpec
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras

NF_RESNETS: dict[str, ResNetSpec] = {
    "nf_resnet18": ResNetSpec(blocks=(2, 2, 2, 2), width=64),
    "nf_resnet50": ResNetSpec(blocks=(3, 4, 6, 3), width=64, bottleneck=True),
    **{f"nf_resnet{6 * n + 2}": ResNetSpec(blocks=(n,) * 3, width=16) for n in (3, 9)},
    "nf_resnet11": ResNetSpec(blocks=(1,) * 3, width=16, bottleneck=True),
    "nf_resnet_tiny": ResNetSpec(blocks=(2, 1), width=8),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NfResNet(NetworkSettings):
    """Settings of a normaliser-free residual network (Brock et al. 2021a, arXiv 2101.08692; 2021b, 2102.06171).

    Pre-activation blocks whose filters are standardised and scaled, with a gain and a bias for each output, and whose
    inputs and branches are scaled so that the variance at each depth is known. No sample's outputs depend on another.
    """

    width: int | None = width()
    stem: str = stem()
    branch_scale: float = setting(
        0.2, "Factor on each residual branch of nf_resnet (alpha of Brock et al. 2021).", above=0
    )
    zero_init_residual: bool = zero_init_residual()
    activation: str = activation()

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last stage's feature maps, activated and averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.nf_blocks import nf_features

        return nf_features(x, NF_RESNETS[name], self, seed)
