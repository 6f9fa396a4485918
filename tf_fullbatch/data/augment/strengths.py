"""How strong a policy's operations are, from 0 to 1 of what its paper lets them be."""

from typing import NamedTuple

from tf_fullbatch.data.augment.moves import Move

GEOMETRY = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
ENHANCEMENTS = ("brightness", "color", "contrast", "sharpness")
OPERATIONS = ("identity", *GEOMETRY, *ENHANCEMENTS, "posterize", "solarize", "autocontrast", "equalize")
"""What RandAugment and TrivialAugment choose from, 14."""


class Strengths(NamedTuple):
    """The strongest that there is, of each kind; directions and "more or less" are two signs.

    Attributes:
        shear: Entry of the matrix.
        degrees: Of a rotation.
        enhancement: A factor is 1 plus or minus so much.
        lost_bits: 8 bits less so many are kept, rounded.
        part: Of the side that an image is moved by, in whole pixels, rounded down; or
        pixels: that many.
    """

    shear: float
    degrees: float
    enhancement: float
    lost_bits: int
    part: float = 0.0
    pixels: int = 0

    def both_signs(self, name: str, share: float, height: int, width: int) -> tuple[Move, Move]:
        """The moves of an operation, the two of them alike where it has no sign.

        Args:
            name: The operation.
            share: 0 to 1 of the strongest.
            height: Of the images, in pixels.
            width: Of the images, in pixels.
        """
        if name in ENHANCEMENTS:
            return Move(name, 1 + self.enhancement * share), Move(name, 1 - self.enhancement * share)
        if name in GEOMETRY:
            strongest = {
                "translate_x": self.pixels or self.part * width,
                "translate_y": self.pixels or self.part * height,
                "rotate": self.degrees,
            }.get(name, self.shear)
            strength = strongest * share
            if name.startswith("translate"):
                strength = int(strength)
            return Move(name, strength), Move(name, -strength)
        strengths = {"posterize": 8 - round(self.lost_bits * share), "solarize": 255 - round(255 * share, 6)}
        return (Move(name, strengths.get(name, 0.0)),) * 2


AUTOAUGMENT = Strengths(shear=0.3, degrees=30, enhancement=0.9, lost_bits=4, part=150 / 331)
"""Cubuk et al. 2019 (1805.09501), and RandAugment's, as torchvision has them."""

WIDE = Strengths(shear=0.99, degrees=135, enhancement=0.99, lost_bits=6, pixels=32)
"""TrivialAugment's "wide" space, Mueller and Hutter 2021 (2103.10158)."""
