"""Policies against their papers: which operations, how strong, how often, mixed how; the operations are test_moves'."""

import numpy as np
import pytest
import tensorflow as tf

from tf_fullbatch.core.random_bits import (
    AUGMIX_STREAM,
    AUTOAUGMENT_STREAM,
    RANDAUGMENT_STREAM,
    TRIVIALAUGMENT_STREAM,
    random_bits,
    uniform_int,
)
from tf_fullbatch.data.augment.lists import augmentation_list
from tf_fullbatch.data.augment.moves import Move, MoveTable
from tf_fullbatch.data.augment.parts.autoaugment import PAIRS

SEED, EPOCH, SIDE = 3, 6, 20
IMAGES = np.random.default_rng(1).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)
IDS = np.arange(40, dtype=np.int64) * 3

# torchvision's names and tables of strengths: AutoAugment's 10, RandAugment's and TrivialAugmentWide's 31.
OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast",
    "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip


def space(bins, *, shear, translate, rotate, enhance, lost_bits):
    """As torchvision's `_augmentation_space` writes it."""
    linear = {
        **dict.fromkeys(("shear_x", "shear_y"), shear),
        **dict.fromkeys(("translate_x", "translate_y"), translate),
        "rotate": rotate,
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), enhance),
    }
    found = {name: (np.linspace(0.0, most, bins), True) for name, most in linear.items()}
    found["posterize"] = (8 - np.rint(np.arange(bins) / ((bins - 1) / lost_bits)), False)
    found["solarize"] = (np.linspace(255.0, 0.0, bins), False)
    return found | dict.fromkeys(("identity", "autocontrast", "equalize", "invert"), (np.zeros(bins), False))


NARROW = {"shear": 0.3, "translate": 150 / 331 * SIDE, "rotate": 30.0, "enhance": 0.9, "lost_bits": 4}
WIDE = {"shear": 0.99, "translate": 32.0, "rotate": 135.0, "enhance": 0.99, "lost_bits": 6}


def one_move(image, name, strengths, bin_, negative):
    table, signed = strengths[name]
    strength = -table[bin_] if negative and signed else table[bin_]
    if name.startswith("translate"):
        strength = int(strength)
    if name in ("brightness", "color", "contrast", "sharpness"):
        strength = 1 + strength
    return moved(image, Move(name, strength))


def moved(image, move):
    table = MoveTable([move], SIDE, SIDE)
    return table.apply(tf.constant(image[None]), tf.zeros([1], tf.int64)).numpy()[0]


def drawn(stream, count):
    return uniform_int(random_bits(SEED, EPOCH, tf.constant(IDS), stream), count).numpy()


def made(text):
    return augmentation_list(text).build(SEED)(IMAGES, tf.constant(IDS), tf.constant(EPOCH, tf.int64)).numpy()


def test_randaugment():
    strengths = space(31, **NARROW)
    which, signs = (
        [drawn(RANDAUGMENT_STREAM + 2 * k + j, n) for k in range(2)] for j, n in ((0, 14), (1, 2))
    )
    assert set(np.concatenate(which)) == set(range(14))
    for i, found in enumerate(made("randaugment(n=2,m=17)")):
        expected = IMAGES[i]
        for k in range(2):
            expected = one_move(expected, OPERATIONS[which[k][i]], strengths, 17, signs[k][i])
        np.testing.assert_array_equal(found, expected)


def test_trivialaugment():
    strengths = space(31, **WIDE)
    which, bins, signs = (drawn(TRIVIALAUGMENT_STREAM + j, n) for j, n in ((0, 14), (1, 31), (2, 2)))
    for i, found in enumerate(made("trivialaugment")):
        expected = one_move(IMAGES[i], OPERATIONS[which[i]], strengths, bins[i], signs[i])
        np.testing.assert_array_equal(found, expected)


def test_autoaugment():
    strengths = space(10, **NARROW)
    pairs, *draws = (drawn(AUTOAUGMENT_STREAM + j, n) for j, n in enumerate((25, 10, 2, 10, 2)))
    for i, found in enumerate(made("autoaugment")):
        expected = IMAGES[i]
        for k, (name, tenths, level) in enumerate(PAIRS[pairs[i]]):
            if draws[2 * k][i] < tenths:
                expected = one_move(expected, name, strengths, level, draws[2 * k + 1][i])
        np.testing.assert_array_equal(found, expected)


PUBLISHED = """
Invert .1 - Contrast .2 6, Rotate .7 2 TranslateX .3 9, Sharpness .8 1 Sharpness .9 3, ShearY .5 8 TranslateY .7 9,
AutoContrast .5 - Equalize .9 -, ShearY .2 7 Posterize .3 7, Color .4 3 Brightness .6 7, Sharpness .3 9 Brightness .7 9,
Equalize .6 - Equalize .5 -, Contrast .6 7 Sharpness .6 5, Color .7 7 TranslateX .5 8, Equalize .3 - AutoContrast .4 -,
TranslateY .4 3 Sharpness .2 6, Brightness .9 6 Color .2 8, Solarize .5 2 Invert .0 -, Equalize .2 - AutoContrast .6 -,
Equalize .2 - Equalize .6 -, Color .9 9 Equalize .6 -, AutoContrast .8 - Solarize .2 8, Brightness .1 3 Color .7 0,
Solarize .4 5 AutoContrast .9 -, TranslateY .9 9 TranslateY .7 9, AutoContrast .9 - Solarize .8 3,
Equalize .8 - Invert .1 -, TranslateY .7 9 AutoContrast .9 -
"""
"""The paper's policy (Cubuk et al. 2019, 1805.09501), levels of operations without a strength left out."""


def test_the_25_pairs():
    names = {"ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y"}
    expected = []
    for pair in PUBLISHED.split(","):
        words = pair.split()
        steps = [tuple(words[:3]), tuple(words[3:])]
        expected.append(
            tuple((names.get(n, n.lower()), int(p[1:]), 0 if lv == "-" else int(lv)) for n, p, lv in steps)
        )
    assert tuple(expected) == PAIRS


@pytest.mark.parametrize(
    ("text", "width", "all_ops"), [("augmix", 3, False), ("augmix(severity=8,width=2,all_ops=True)", 2, True)]
)
def test_augmix(text, width, all_ops):
    """Strengths as in the authors' augmentations.py; weights and mixture by their definitions, in float64."""
    severity = 8 if all_ops else 3
    names = ["autocontrast", "equalize", "posterize", "solarize", *OPERATIONS[1:6]]
    names += ["brightness", "color", "contrast", "sharpness"] if all_ops else []
    streams = iter(range(AUGMIX_STREAM, AUGMIX_STREAM + 1000))
    share, *cuts = (drawn(next(streams), 2**16 + 1) / 2**16 for _ in range(width))
    ends = np.concatenate(
        [np.zeros((1, 40)), np.sort(np.reshape(cuts, [width - 1, 40]), axis=0), np.ones((1, 40))]
    )
    mixture = np.zeros(IMAGES.shape)
    for chain in range(width):
        length = 1 + drawn(next(streams), 3)
        draws = [[drawn(next(streams), n) for n in (len(names), 31, 2)] for _ in range(3)]
        for i, image in enumerate(IMAGES):
            for which, level, sign in [[d[i] for d in step] for step in draws[: length[i]]]:
                image = moved(image, augmix_move(names[which], 0.1 + (severity - 0.1) * level / 30, sign))
            mixture[i] += (ends[chain + 1, i] - ends[chain, i]) * image
    share = share[:, None, None, None]
    np.testing.assert_array_equal(made(text), np.floor((1 - share) * IMAGES + share * mixture + 0.5))


def augmix_move(name, level, sign):
    def whole(most):
        return int(level * most / 10)

    strengths = {"posterize": 4 - whole(4), "solarize": 256 - whole(256)}
    signed = {"rotate": whole(30), "shear_x": level * 0.3 / 10, "shear_y": level * 0.3 / 10}
    signed |= dict.fromkeys(("translate_x", "translate_y"), whole(SIDE / 3))
    if name in signed:
        return Move(name, -signed[name] if sign else signed[name])
    return Move(name, strengths.get(name, level * 1.8 / 10 + 0.1))


def test_weights_of_augmix_are_dirichlet():
    """Means 1/3, and variances (1/3)(2/3)/4 of Dirichlet(1, 1, 1); 20,000 draws, five standard errors."""
    from tf_fullbatch.data.augment.parts.augmix import _weights

    ids = tf.range(20_000, dtype=tf.int64)
    cuts = [uniform_int(random_bits(0, 0, ids, stream), 2**16 + 1) for stream in (1, 2)]
    weights = np.stack([w.numpy() for w in _weights(cuts, cuts[0])]) / 2**16
    np.testing.assert_array_equal(weights.sum(0), 1)
    np.testing.assert_allclose(weights.mean(1), 1 / 3, atol=5 * (1 / 18 / 20_000) ** 0.5)
    np.testing.assert_allclose(weights.var(1), 1 / 18, rtol=0.05)
