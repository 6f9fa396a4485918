"""The parts of a list against plain NumPy, Pillow and Python, with the draws of their streams."""

import colorsys
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.random_bits import (
    ALTERNATING_FLIP_STREAM,
    CUTOUT_STREAMS,
    JITTER_STREAMS,
    TRANSLATE_STREAMS,
    random_bits,
    uniform_int,
)
from tf_fullbatch.data.augment.crop_pixels import crop_flip
from tf_fullbatch.data.augment.lists import augmentation_list
from tf_fullbatch.data.augment.pixels import blend, hue
from tf_fullbatch.errors import UserError

SEED, EPOCH = 4, 9
IMAGES = np.random.default_rng(2).integers(0, 256, (60, 9, 7, 3), dtype=np.uint8)
IDS = np.arange(60, dtype=np.int64) * 5


def made(text, epoch=EPOCH, images=IMAGES):
    return augmentation_list(text).build(SEED)(images, tf.constant(IDS), tf.constant(epoch, tf.int64)).numpy()


def drawn(stream, count, epoch=EPOCH):
    return uniform_int(random_bits(SEED, epoch, tf.constant(IDS), stream), count).numpy()


def test_crop_and_flip_are_the_published_ones_to_the_bit():
    expected = crop_flip(IMAGES, tf.constant(IDS), EPOCH, SEED, padding=4).numpy()
    np.testing.assert_array_equal(made("crop4,flip"), expected)
    whole = StepConfig.of(augmentation="crop_flip").whole_augmentation().build(SEED)
    np.testing.assert_array_equal(whole(IMAGES, tf.constant(IDS), tf.constant(EPOCH, tf.int64)), expected)
    assert (made("flip,crop4") != expected).any()


def test_alternating_flip():
    first = drawn(ALTERNATING_FLIP_STREAM, 2, epoch=0)
    assert 15 < first.sum() < 45
    for epoch in range(4):
        mirrored = (first + epoch) % 2 == 1
        expected = np.where(mirrored[:, None, None, None], IMAGES[:, :, ::-1], IMAGES)
        np.testing.assert_array_equal(made("alternating_flip", epoch), expected)


def test_translate():
    rows, columns = (drawn(stream, 7) for stream in TRANSLATE_STREAMS)
    assert len(set(zip(rows, columns, strict=True))) > 20
    padded = np.pad(IMAGES, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="reflect")
    for image, row, column, found in zip(padded, rows, columns, made("translate3"), strict=True):
        np.testing.assert_array_equal(found, image[row : row + 9, column : column + 7])


@pytest.mark.parametrize(("size", "level"), [(1, 0), (4, 7), (5, 255), (7, 0)])
def test_cutout(size, level):
    middles = zip(drawn(CUTOUT_STREAMS[0], 9), drawn(CUTOUT_STREAMS[1], 7), strict=True)
    for image, (row, column), found in zip(
        IMAGES, middles, made(f"cutout(size={size},level={level})"), strict=True
    ):
        expected, top, left = image.copy(), row - size // 2, column - size // 2
        expected[max(0, top) : top + size, max(0, left) : left + size] = level
        np.testing.assert_array_equal(found, expected)


def test_jitter_against_pillow_in_the_order_drawn():
    """One level is inherent: Pillow truncates float32 products, which may lie below a whole number; and so may what
    follows from that, after another factor of up to 1.5."""
    orders = np.array(list(itertools.permutations(range(3 + 1))))[drawn(JITTER_STREAMS[0], 24)]
    low, high = blend.fixed(0.5), blend.fixed(1.5)
    factors = [(low + drawn(stream, high - low + 1)) / blend.ONE for stream in JITTER_STREAMS[1:4]]
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    expected = []
    for i, image in enumerate(IMAGES):
        picture = Image.fromarray(image)
        for which in orders[i]:
            if which < 3:
                picture = enhancers[which](picture).enhance(factors[which][i])
        expected.append(np.asarray(picture))
    found = made("jitter(brightness=0.5,contrast=0.5,saturation=0.5)")
    differences = np.abs(found.astype(int) - expected)
    assert differences.max() <= 1
    assert (differences > 0).mean() < 1e-3


def test_hue_against_colorsys():
    """Against float64, rounded: equal but where it lies at half a level, which units of 2^-16 cannot tell."""
    images = np.random.default_rng(3).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    images[0, 0, :3] = [[0, 0, 0], [255, 255, 255], [7, 7, 7]]  # greys have no hue
    parts = np.array([0.0, 0.1, -0.1, 0.5, -0.5, 1 / 3])
    found = hue.turned(
        tf.constant(images), tf.constant([hue.fixed(part) for part in parts], tf.int64)
    ).numpy()
    np.testing.assert_array_equal(found[0], images[0])
    exact = np.zeros(images.shape)
    for i, row, column in np.ndindex(images.shape[:3]):
        h, s, v = colorsys.rgb_to_hsv(*images[i, row, column] / 255)
        exact[i, row, column] = 255 * np.array(colorsys.hsv_to_rgb((h + parts[i]) % 1, s, v))
    assert np.abs(found - exact).max() <= 0.5 + 255 / 2**16


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("jitter", (8, 8, 1), "jitter needs images of 3 channels, these have 1"),
        ("flip,cutout9", (8, 12, 3), "cutout cuts out 9x9 pixels, but these images are 8x12"),
        ("flip,crop8", (8, 12, 3), "crop pads by 8 pixels, but these images are 8x12"),
        ("crop7", (8, 12, 3), None),
        ("translate8", (8, 12, 3), "translate moves by 8 pixels, but these images are 8x12"),
        ("crop4,flip,cutout8", (8, 8, 1), None),
    ],
)
def test_refusals_of_images(text, shape, words):
    assert augmentation_list(text).refusal(shape) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "--augmentation=: it names nothing"),
        ("cutuot8", "--augmentation=cutuot8: there is no such augmentation; did you mean cutout8[?]$"),
        ("Crop4", "--augmentation=Crop4: there is no such augmentation; did you mean crop4[?]$"),
        ("Flip2", "--augmentation=Flip2: there is no such augmentation; did you mean flip[?]$"),
        (
            "crop_flp,cutout2",
            "--augmentation=crop_flp: there is no such augmentation; did you mean crop[?]$",
        ),
        ("what", "there is no such augmentation; there are crop, flip, .*, cutmix, none, crop_flip[.]$"),
        (
            "flip,what",
            "--augmentation=what: there is no such augmentation; there are crop, flip, .*, cutmix[.]$",
        ),
        (
            "crop_flip,cutout2",
            "=crop_flip,cutout2: crop_flip stands by itself, without options; in a list it is crop4,flip[.]$",
        ),
        (
            "crop_flip(padding=3)",
            "crop_flip stands by itself, without options; in a list it is crop4,flip[.]$",
        ),
        ("none,flip", "--augmentation=none,flip: none stands by itself, without options[.]$"),
        ("mixup,flip", "mixup mixes samples as they are in the end; put it last[.]$"),
        ("flip,mixup,cutmix", "mixup and cutmix mix samples; give one of them, as the last part[.]$"),
        (
            "flip,cutout(siz=3)",
            r"--augmentation=cutout\(siz=3\): cutout has no option 'siz'; it has size, level",
        ),
        (
            "cutout(8)",
            r"'8' is no key=value[.] Give cutout8 or cutout\(size=8\); its options are size, level[.]$",
        ),
        (
            "flip,jitter(0.4)",
            r"'0.4' is no key=value[.] Give jitter\(brightness=0.4\); its options are brightness, contrast, "
            "saturation, hue[.]$",
        ),
        (
            "cutout(large)",
            r"'large' is no key=value[.] Give cutout\(key=value,...\); its options are size, level[.]$",
        ),
        ("cutout(-8)", r"Give cutout\(size=-8\); its"),
        ("flip(1)", "'1' is no key=value[.] Give flip alone: it has no options[.]$"),
        ("what(1)", "'1' is no key=value[.] Give key=value,key=value[.]$"),
        ("cutout(size=0)", "--augmentation of cutout: size=0: must be at least 1"),
        ("flip3", "the number after flip, 3, is no option of it"),
        ("cutout8(size=8)", "the number after cutout, 8, stands in brackets too"),
        ("crop4,crop2", "crop comes twice"),
        ("mine.py:f,crop4", "accepted are lists of crop, .*, or alone FILE.py:function or package"),
        ("crop0", "of crop: padding=0: must be at least 1"),
        ("translate0", "of translate: pixels=0: must be at least 1"),
        ("mixup(probability=0)", "of mixup: probability=0: must be above 0"),
        ("cutmix(probability=0)", "of cutmix: probability=0: must be above 0"),
        ("jitter(brightness=0,contrast=0,saturation=0)", "changes nothing: leave jitter out"),
        ("flip,crop4,alternating_flip", "flip and alternating_flip turn images round twice"),
    ],
)
def test_refusals_of_lists(text, words):
    with pytest.raises(UserError, match=words) as caught:
        StepConfig.of(augmentation=text)
    assert "\n" not in str(caught.value)


def test_settings_of_other_augmentations_are_refused():
    with pytest.raises(UserError, match="--augmentation_padding=2 has no effect with --augmentation=crop4"):
        StepConfig.of(augmentation="crop4", augmentation_padding=2)
