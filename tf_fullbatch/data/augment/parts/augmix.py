"""`augmix`: an image mixed with a mixture of chains of operations on it."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.augment.base import PartSettings
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.data.augment.moves import Move, MoveTable

_LEVELS = 31
_LONGEST = 3
_ONE = 1 << 16
"""Weights are whole multiples of 2^-16."""
_DRAWS_OF_A_CHAIN = 1 + 3 * _LONGEST


@dataclass(frozen=True, kw_only=True, slots=True)
class AugMix(PartSettings):
    """The images of Hendrycks et al. 2020, without the paper's loss between three of them; rounded to whole levels.

    (1 - u) x + u (w_1 chain_1(x) + ... + w_k chain_k(x)), u uniform (Beta(1, 1)), w of Dirichlet(1, ..., 1).
    """

    summary: ClassVar[str] = "a mixture of chains of operations"
    channels: ClassVar[int | None] = 3
    source: ClassVar[str] = "Hendrycks et al. 2020 (1912.02781)"

    severity: float = setting(3.0, "Levels are uniform from 0.1 to it, of 10.", minimum=0.1, maximum=10)
    width: int = setting(3, "Chains that are mixed.", minimum=1, maximum=10)
    all_ops: bool = setting(False, "Chains also change brightness, contrast, color and sharpness.")

    def build(self, seed: int) -> "Augmentation":
        """Chains are of 1 to 3 operations; levels are 31 of the range, all equally likely."""
        import tensorflow as tf

        from tf_fullbatch.core.random_bits import AUGMIX_STREAM, random_bits, uniform_int
        from tf_fullbatch.data.augment.moves import MoveTable

        names = _names(self.all_ops)

        @functools.cache
        def table(height: int, width: int) -> "MoveTable":
            return MoveTable(_moves(names, self.severity, height, width), height, width)

        def chained(images: "tf.Tensor", bits: "tf.Tensor") -> "tf.Tensor":
            length = 1 + uniform_int(bits[0], _LONGEST)
            for i in range(_LONGEST):
                which, level, sign = (bits[1 + 3 * i + k] for k in range(3))
                rows = uniform_int(which, len(names)) * _LEVELS + uniform_int(level, _LEVELS)
                rows = tf.where(i < length, 2 * rows + uniform_int(sign, 2), 2 * _LEVELS * len(names))
                images = table(images.shape[1], images.shape[2]).apply(images, rows)
            return images

        def augment(images: "tf.Tensor", sample_ids: "tf.Tensor", epoch: "tf.Tensor") -> "tf.Tensor":
            streams = AUGMIX_STREAM + tf.range(self.width * (1 + _DRAWS_OF_A_CHAIN), dtype=tf.int64)
            bits = random_bits(seed, epoch, sample_ids, streams[:, tf.newaxis])
            share, *cuts = (uniform_int(bits[i], _ONE + 1) for i in range(self.width))
            # All chains of all images are one batch.
            by_chain = tf.reshape(bits[self.width :], [self.width, _DRAWS_OF_A_CHAIN, -1])
            of_chains = tf.reshape(tf.transpose(by_chain, [1, 0, 2]), [_DRAWS_OF_A_CHAIN, -1])
            changed = tf.cast(chained(tf.concat([images] * self.width, 0), of_chains), tf.int64)
            changed = tf.reshape(changed, [self.width, -1, *images.shape[1:]])
            weights = _weights(cuts, share)
            mixture = tf.add_n([_each(weight) * changed[i] for i, weight in enumerate(weights)])
            plain = _each(_ONE - share) * _ONE * tf.cast(images, tf.int64)
            total = plain + _each(share) * mixture + _ONE * _ONE // 2
            return tf.cast(tf.bitwise.right_shift(total, tf.constant(32, tf.int64)), tf.uint8)

        return augment


def _names(all_ops: bool) -> tuple[str, ...]:
    from tf_fullbatch.data.augment.strengths import ENHANCEMENTS, GEOMETRY

    names = ("autocontrast", "equalize", "posterize", "solarize", *GEOMETRY)
    return (*names, *ENHANCEMENTS) if all_ops else names


def _moves(names: Sequence[str], severity: float, height: int, width: int) -> "list[Move]":
    """Of each operation and level both signs, and at the end the identity; strengths as the authors' code has them."""
    from tf_fullbatch.data.augment.moves import Move

    moves = []
    for name in names:
        for k in range(_LEVELS):
            level = 0.1 + (severity - 0.1) * k / (_LEVELS - 1)
            strengths = {
                "posterize": 4 - int(level * 4 / 10),
                "solarize": 256 - int(level * 256 / 10),
                "rotate": int(level * 30 / 10),
                "shear_x": level * 0.3 / 10,
                "shear_y": level * 0.3 / 10,
                "translate_x": int(level * width / 3 / 10),
                "translate_y": int(level * height / 3 / 10),
            }
            strength = strengths.get(name, level * 1.8 / 10 + 0.1)
            signed = name == "rotate" or name.startswith(("shear", "translate"))
            moves += [Move(name, strength), Move(name, -strength if signed else strength)]
    return [*moves, Move("identity")]


def _weights(cuts: "Sequence[tf.Tensor]", like: "tf.Tensor") -> "list[tf.Tensor]":
    """Dirichlet(1, ..., 1): the lengths that uniform cuts leave of [0, 1], in units of 2^-16; each `[batch]`."""
    import tensorflow as tf

    ends = [tf.zeros_like(like), *_sorted(list(cuts)), tf.fill(tf.shape(like), tf.constant(_ONE, tf.int64))]
    return [end - begin for begin, end in itertools.pairwise(ends)]


def _sorted(numbers: "list[tf.Tensor]") -> "list[tf.Tensor]":
    """Tensors whose entries are those of the given ones, the smallest first."""
    import tensorflow as tf

    for end in range(len(numbers) - 1, 0, -1):
        for i in range(end):
            low, high = numbers[i], numbers[i + 1]
            numbers[i], numbers[i + 1] = tf.minimum(low, high), tf.maximum(low, high)
    return numbers


def _each(numbers: "tf.Tensor") -> "tf.Tensor":
    return numbers[:, None, None, None]
