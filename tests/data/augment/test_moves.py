"""The elementary operations against Pillow's pixels; nearest neighbours, as torchvision's policies have them."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from tf_fullbatch.data.augment.moves import NAMES, Move, MoveTable

HEIGHT, WIDTH = 15, 18
ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "color": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}
FACTORS = (*(1 + sign * 0.9 * k / 30 for k in range(31) for sign in (-1, 1)), 0.01, 1.99, 0.0, 2.5)
STRENGTHS = {
    "shear_x": (-0.3, -0.11, 0.0, 0.17, 0.3, 0.99),
    "shear_y": (-0.3, -0.11, 0.0, 0.17, 0.3, -0.99),
    "translate_x": (-7, -1, 0, 3, 20),
    "translate_y": (-7, -1, 0, 3, 20),
    "rotate": (-30.0, -13.0, 0.0, 1.0, 5.5, 30.0, 90.0, 135.0, 180.0, -90.0),
    "posterize": (1, 2, 4, 7, 8),
    "solarize": (0.0, 1.0, 76.5, 127.0, 128.0, 255.0, 256.0),
    **dict.fromkeys(ENHANCERS, FACTORS),
}


def images():
    """Noise, a narrow range of levels, one level, two levels, a ramp, few bright pixels among black."""
    random = np.random.default_rng(5)
    found = random.integers(0, 256, (7, HEIGHT, WIDTH, 3), dtype=np.uint8)
    found[1] = found[1] // 4 + 90
    found[2] = 77
    found[3] = 40 + 100 * (found[3] % 2)
    found[4] = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3) % 256
    found[5] = np.where(found[5] < 250, 0, found[5])
    found[6] = found[6] // 128 * 200 + np.array([5, 0, 55])
    return found


def pillow(name, strength, image):
    """What Pillow makes of an image, by its public functions alone."""
    if name in ENHANCERS:
        return ENHANCERS[name](image).enhance(strength)
    if name == "rotate":
        return image.rotate(strength, Image.Resampling.NEAREST)
    matrices = {
        "shear_x": (1, strength, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, strength, 1, 0),
        "translate_x": (1, 0, strength, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, strength),
    }
    if name in matrices:
        return image.transform(image.size, Image.Transform.AFFINE, matrices[name], Image.Resampling.NEAREST)
    if name in ("posterize", "solarize"):
        return getattr(ImageOps, name)(image, strength)
    return image if name == "identity" else getattr(ImageOps, name)(image)


def found_and_expected(name):
    given, strengths = images(), STRENGTHS.get(name, (0.0,))
    table = MoveTable([Move("identity"), *(Move(name, strength) for strength in strengths)], HEIGHT, WIDTH)
    rows = np.repeat(np.arange(len(strengths)) + 1, len(given))
    found = table.apply(tf.constant(np.tile(given, (len(strengths), 1, 1, 1))), tf.constant(rows)).numpy()
    expected = [np.asarray(pillow(name, s, Image.fromarray(image))) for s in strengths for image in given]
    return found, np.stack(expected)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*ENHANCERS, "autocontrast")])
def test_equals_pillow_to_the_pixel(name):
    found, expected = found_and_expected(name)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ENHANCERS)
def test_enhancement_is_the_floor_of_the_exact_blend(name):
    """Pillow multiplies float32s and truncates. One level is inherent where the exact product is a whole number."""
    found, expected = found_and_expected(name)
    differences = found.astype(int) - expected
    assert set(np.unique(differences)) <= {0, 1}
    assert (differences != 0).mean() < 0.01
    low = np.stack([np.asarray(pillow(name, 0.0, Image.fromarray(image))) for image in images()]).astype(
        float
    )
    given = images().astype(float)
    exact = np.concatenate([low + factor * (given - low) for factor in FACTORS])
    near_whole = np.abs(exact - np.rint(exact)) < 1e-6
    assert (differences[~near_whole] == 0).all()
    np.testing.assert_array_equal(found, np.clip(np.floor(exact + 1e-6), 0, 255))


def test_autocontrast_is_the_floor_of_the_exact_stretch():
    """Pillow computes in float64 and truncates: one level is inherent where 255 (x - low) / (high - low) is whole."""
    found, expected = found_and_expected("autocontrast")
    differences = found.astype(int) - expected
    assert set(np.unique(differences)) <= {0, 1}
    given = images().astype(int)
    low, high = given.min((1, 2), keepdims=True), given.max((1, 2), keepdims=True)
    whole = (255 * (given - low)) % np.maximum(high - low, 1) == 0
    assert (differences[~whole] == 0).all()


def test_images_of_a_batch_are_moved_apart():
    given = images()
    moves = [Move(name, STRENGTHS.get(name, (0.0,))[0]) for name in NAMES]
    table = MoveTable(moves, HEIGHT, WIDTH)
    alone = [
        table.apply(tf.constant(given[i % 7][None]), tf.constant([i])).numpy()[0] for i in range(len(moves))
    ]
    together = table.apply(
        tf.constant(np.stack([given[i % 7] for i in range(len(moves))])), tf.range(len(moves), dtype=tf.int64)
    )
    np.testing.assert_array_equal(together.numpy(), alone)


def test_levels_of_one_channel():
    """What needs no colours takes grey images too."""
    given = images()[..., :1]
    for name, strength in (("equalize", 0.0), ("autocontrast", 0.0), ("rotate", 20.0), ("posterize", 3)):
        table = MoveTable([Move(name, strength)], HEIGHT, WIDTH)
        found = table.apply(tf.constant(given), tf.zeros([7], tf.int64)).numpy()[..., 0]
        pictures = [np.asarray(pillow(name, strength, Image.fromarray(image[..., 0]))) for image in given]
        differences = found.astype(int) - np.stack(pictures)
        assert set(np.unique(differences)) <= ({0, 1} if name == "autocontrast" else {0})


def test_tiny_images_are_not_smoothed():
    given = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    table = MoveTable([Move("sharpness", 0.1)], 2, 2)
    np.testing.assert_array_equal(table.apply(tf.constant(given), tf.zeros([2], tf.int64)), given)
