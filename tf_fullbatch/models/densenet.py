"""--model=densenet...: densely connected networks, their shapes by name and their settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.models.base import NormalisedSettings, Published, stem
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseNetSpec:
    """The shape of a DenseNet-BC (Huang et al. 2017)."""

    blocks: tuple[int, ...]
    """Layers in each dense block; between two blocks a transition halves channels and sides."""
    growth: int
    """Channels that each layer adds; the stem has twice as many."""
    published: tuple[Published, ...] = ()
    """Published numbers of parameters."""


def _large(growth: int, blocks: tuple[int, ...], parameters: int, imagenet: int) -> DenseNetSpec:
    """A network of Huang et al. 2017, table 1, with its numbers of parameters behind both stems."""
    cifar = Published(parameters, 32, 10, "by the formula, with the 3x3 stem that CIFAR-10 is trained with")
    large = Published(imagenet, 224, 1000, "torchvision's documentation; Huang et al. 2017, table 1")
    return DenseNetSpec(blocks=blocks, growth=growth, published=(cifar, large))


def _bc(depth: int, growth: int, parameters: int, millions: str) -> DenseNetSpec:
    """A network of Huang et al. 2017, table 2: three blocks of `(depth - 4) / 6` layers."""
    published = Published(parameters, 32, 10, f"by the formula; Huang et al. 2017, table 2: {millions}M")
    return DenseNetSpec(blocks=((depth - 4) // 6,) * 3, growth=growth, published=(published,))


DENSENETS: dict[str, DenseNetSpec] = {
    "densenet121": _large(32, (6, 12, 24, 16), 6_956_298, 7_978_856),
    "densenet161": _large(48, (6, 12, 36, 24), 26_482_378, 28_681_000),
    "densenet169": _large(32, (6, 12, 32, 32), 12_493_322, 14_149_480),
    "densenet201": _large(32, (6, 12, 48, 32), 18_104_330, 20_013_928),
    "densenet_bc_100_12": _bc(100, 12, 769_162, "0.8"),
    "densenet_bc_190_40": _bc(190, 40, 25_624_430, "25.6"),
    "densenet_tiny": DenseNetSpec(blocks=(2, 2), growth=8),
}

_PUBLISHED = {name: spec.published for name, spec in DENSENETS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class DenseNet(NormalisedSettings):
    """Settings of a DenseNet; `dense_blocks.py` has its layers."""

    published = _PUBLISHED
    stem: str = stem()
    growth_rate: int | None = setting(
        None, "Channels that each layer of a DenseNet adds. Unset: the network's own.", minimum=1
    )

    def features(self, name: str, x: "keras.KerasTensor", seed: int) -> "keras.KerasTensor":
        """The last block's channels, averaged over their pixels, `[batch, features]`.

        Raises:
            ValueError: If a side of the image is shorter than the network's total stride.
        """
        from tf_fullbatch.models.dense_blocks import densenet_features

        return densenet_features(x, DENSENETS[name], self, seed)
