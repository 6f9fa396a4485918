"""What every augmentation of a list owes: a function of seed, epoch and sample, whatever the batch and the compiler."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

from tf_fullbatch.data.augment.base import MixSettings
from tf_fullbatch.data.augment.lists import augmentation_list
from tf_fullbatch.data.augment.registry import PARTS

SEED = 11
TEXTS = {name: name for name, kind in PARTS.items() if not issubclass(kind, MixSettings)} | {
    "cutout": "cutout5",
    "jitter": "jitter(hue=0.3)",
    "randaugment": "randaugment(n=2,m=20)",
    "augmix": "augmix(width=2,all_ops=True)",
    "whole": "crop2,alternating_flip,translate,cutout(size=4,level=99)",
}
"""Name -> list, of every part; the images are small."""


def random_images(count=24, height=12, width=10):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


IMAGES, IDS = random_images(), np.arange(24, dtype=np.int64) * 7 + 3


def built(name, seed=SEED):
    return augmentation_list(TEXTS[name]).build(seed)


def compiled(function, **options):
    signature = [tf.TensorSpec([None, *IMAGES.shape[1:]], tf.uint8), *[tf.TensorSpec([None], tf.int64)] * 2]
    return tf.function(function, input_signature=signature, **options)


def of_epochs(function, images, ids, epochs):
    return function(tf.constant(images), tf.constant(ids), tf.constant(epochs, tf.int64)).numpy()


@pytest.fixture(scope="module", params=TEXTS)
def augment(request):
    """(name, a compiled function of any batch and an epoch of each sample, what it makes of the images in epoch 2)."""
    function = compiled(built(request.param))
    return request.param, function, of_epochs(function, IMAGES, IDS, [2] * 24)


def test_shape_dtype_and_that_it_changes_something(augment):
    _, _, found = augment
    assert (found.shape, found.dtype) == (IMAGES.shape, np.uint8)
    assert (found != IMAGES).any((1, 2, 3)).sum() >= 6


def test_micro_batches_and_order_change_no_bit(augment):
    _, function, whole = augment
    order = np.random.default_rng(1).permutation(24)
    for part in np.split(order, [1, 8, 15]):
        np.testing.assert_array_equal(
            of_epochs(function, IMAGES[part], IDS[part], [2] * len(part)), whole[part]
        )
    assert of_epochs(function, IMAGES[:0], IDS[:0], []).shape == (0, *IMAGES.shape[1:])


def test_epochs_of_each_sample_are_those_of_all(augment):
    name, function, whole = augment
    other = of_epochs(function, IMAGES, IDS, [5] * 24)
    mixed = of_epochs(function, IMAGES, IDS, [2, 5] * 12)
    np.testing.assert_array_equal(mixed[::2], whole[::2])
    np.testing.assert_array_equal(mixed[1::2], other[1::2])
    assert (other != whole).any((1, 2, 3)).sum() >= 6
    eager = built(name)(tf.constant(IMAGES), tf.constant(IDS), tf.constant(2, tf.int64)).numpy()
    np.testing.assert_array_equal(eager, whole)


def test_seeds_differ(augment):
    name, _, whole = augment
    other = built(name, SEED + 1)(tf.constant(IMAGES), tf.constant(IDS), tf.constant(2, tf.int64)).numpy()
    assert (other != whole).any((1, 2, 3)).sum() >= 6


def test_xla_changes_no_bit(augment):
    name, _, whole = augment
    by_xla = compiled(built(name), jit_compile=True)
    np.testing.assert_array_equal(of_epochs(by_xla, IMAGES, IDS, [2] * 24), whole)


def test_loops_change_no_bit():
    function = built("whole")

    def in_a_loop(images, ids, epochs):
        def body(i, out):
            rows = slice(8 * i, 8 * i + 8)
            return i + 1, out.write(i, function(images[rows], ids[rows], epochs[0]))

        out = tf.TensorArray(tf.uint8, 3, element_shape=[None, *IMAGES.shape[1:]])
        return tf.while_loop(lambda i, _: i < 3, body, (0, out))[1].concat()

    expected = of_epochs(function, IMAGES, IDS, 2)
    np.testing.assert_array_equal(of_epochs(compiled(in_a_loop), IMAGES, IDS, [2] * 24), expected)


_ANYWHERE = {"Const", "Placeholder", "Identity", "Shape", "StridedSlice", "Pack", "NoOp", "Range"}
"""Operations of shapes and constants, which the host does."""


def test_gpu_kernels_for_all_that_is_done_to_pixels(augment):
    """A batch would else travel to the host and back; int32 arithmetic has no kernel of its own on a GPU."""

    def has_pixels(x):
        return x.shape.rank is None or np.prod([n for n in x.shape if n is not None], initial=1) >= 12 * 10

    for operation in augment[1].get_concrete_function().graph.get_operations():
        if operation.type in _ANYWHERE or not (
            operation.type == "GatherV2" or any(map(has_pixels, operation.inputs))
        ):
            continue
        assert _on_gpu(operation), f"{operation.type} of {[x.dtype.name for x in operation.inputs]}"


def _on_gpu(operation):
    def fits(kernel):
        if kernel.device_type not in ("GPU", "DEFAULT") or set(kernel.host_memory_arg) & {
            "x",
            "y",
            "z",
            "data",
            "input",
        }:
            return False
        return all(
            operation.get_attr(one.name) in map(tf.as_dtype, one.allowed_values.list.type)
            for one in kernel.constraint
        )

    return any(map(fits, kernels.get_registered_kernels_for_op(operation.type).kernel))
