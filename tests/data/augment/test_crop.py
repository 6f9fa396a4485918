"""Crop and flip, and the augmentations by name."""

import numpy as np
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import random_bits
from tf_fullbatch.data.augment import crop_pixels
from tf_fullbatch.data.augment.registry import AUGMENTATIONS
from tf_fullbatch.errors import UserError

MASK = 0xFFFFFFFF


def random_images(count, height=8, width=6, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def fmix32(x):
    """MurmurHash3's finaliser as published, in Python's integers."""
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & MASK
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


def reference_bits(seed, epoch, sample_id, stream):
    """The docstring's formula for one sample."""
    mixed = [0, 1]
    for part in (seed, stream, epoch):
        for word in (part & MASK, (part >> 32) & MASK):
            mixed = [fmix32(((key ^ word) + 0x9E3779B9) & MASK) for key in mixed]
    bits = fmix32((((sample_id & MASK) ^ mixed[0]) + 0x9E3779B9) & MASK)
    return fmix32(((bits ^ (sample_id >> 32) ^ mixed[1]) + 0x9E3779B9) & MASK)


def draws(images, sample_ids, epoch, seed, padding):
    """Row offset, column offset and flip of each sample, from the documented streams."""
    bits = [random_bits.random_bits(seed, epoch, tf.constant(sample_ids, tf.int64), s) for s in (0, 1, 2)]
    counts = (2 * padding + 1, 2 * padding + 1, 2)
    return [random_bits.uniform_int(b, n).numpy() for b, n in zip(bits, counts, strict=True)]


class RandomBitsTest(tf.test.TestCase):
    def bits(self, seed, epoch, count, stream):
        return random_bits.random_bits(seed, epoch, tf.range(count, dtype=tf.int64), stream).numpy()

    def test_against_formula(self):
        for seed, epoch, stream in ((0, 0, 0), (-1, 2999, 2), (2**40 + 5, 2**33, 17)):
            ids = [0, 1, 49_999, 2**31, 2**45 + 3]
            expected = [reference_bits(seed, epoch, i, stream) for i in ids]
            found = random_bits.random_bits(seed, epoch, tf.constant(ids, tf.int64), stream).numpy()
            self.assertEqual(found.dtype, np.uint32)
            self.assertAllEqual(found, np.array(expected, np.uint32))

    def test_several_streams_at_once(self):
        ids = tf.range(20, dtype=tf.int64)
        together = random_bits.random_bits(3, 4, ids, tf.constant([[5], [9]], tf.int64))
        apart = [random_bits.random_bits(3, 4, ids, stream) for stream in (5, 9)]
        self.assertAllEqual(together, tf.stack(apart))

    def test_tensor_arguments_equal_python_ones(self):
        ids = tf.range(20, dtype=tf.int64)
        as_tensors = [tf.constant(v, tf.int64) for v in (-7, 11)]
        self.assertAllEqual(
            random_bits.random_bits(*as_tensors, ids, 1), random_bits.random_bits(-7, 11, ids, 1)
        )

    def test_uniform(self):
        # 256 cells for each byte: chi-square has mean 255 and deviation 22.6; 5 deviations are allowed.
        bits = self.bits(1, 2, 100_000, 0)
        for shift in (0, 8, 16, 24):
            counts = np.bincount((bits >> shift) & 255, minlength=256)
            expected = len(bits) / 256
            chi_square = ((counts - expected) ** 2 / expected).sum()
            self.assertLess(abs(chi_square - 255), 5 * 22.6)

    def test_draws_are_independent(self):
        # Joint cells of two draws that differ in one argument: 15 * 15 degrees of freedom, deviation 21.2.
        base = {"seed": 1, "epoch": 2, "count": 60_000, "stream": 0}
        top = self.bits(**base) >> 28
        for change in ({"seed": 2}, {"epoch": 3}, {"stream": 1}, {"seed": 1 + 2**32}):
            other = self.bits(**base | change) >> 28
            self.assert_independent(top, other, str(change))
        self.assert_independent(top[:-1], top[1:], "neighbouring samples")

    def assert_independent(self, one, two, what):
        table = np.bincount(one.astype(int) * 16 + two, minlength=256).reshape(16, 16)
        expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
        chi_square = ((table - expected) ** 2 / expected).sum()
        self.assertLess(abs(chi_square - 225), 5 * 21.2, what)

    def test_avalanche(self):
        # Flipping any one bit of the id, epoch or seed flips each output bit with probability 1/2:
        # over 4000 samples the deviation of a frequency is 0.008.
        ids = tf.range(4000, dtype=tf.int64)
        base = random_bits.random_bits(5, 6, ids, 0).numpy()
        for bit in (0, 1, 7, 15, 31, 40):
            flipped = (
                random_bits.random_bits(
                    5, 6, tf.bitwise.bitwise_xor(ids, tf.constant(1 << bit, tf.int64)), 0
                ),
                random_bits.random_bits(5, 6 ^ (1 << bit), ids, 0),
                random_bits.random_bits(5 ^ (1 << bit), 6, ids, 0),
            )
            for other in flipped:
                changed = np.unpackbits((base ^ other.numpy()).view(np.uint8)).reshape(-1, 32).mean(0)
                self.assertAllClose(changed, np.full(32, 0.5), atol=0.05, rtol=0)

    def test_epochs_are_no_reorderings_of_each_other(self):
        first, second = np.sort(self.bits(0, 0, 4096, 0)), np.sort(self.bits(0, 1, 4096, 0))
        self.assertLess(len(np.intersect1d(first, second)), 10)

    def test_uniform_int(self):
        bits = tf.constant([0, 2**32 // 9, 2**32 // 9 + 1, 2**32 - 1], tf.uint32)
        self.assertAllEqual(random_bits.uniform_int(bits, 9), [0, 0, 1, 8])


class CropFlipTest(tf.test.TestCase):
    def test_equals_naive_reference_at_every_offset(self):
        images, ids = random_images(400), np.arange(400) * 7
        for padding, flip in ((2, True), (2, False), (0, True), (9, True)):
            found = crop_pixels.crop_flip(images, tf.constant(ids), 5, 11, padding=padding, flip=flip).numpy()
            row, column, mirror = draws(images, ids, 5, 11, padding)
            if padding == 2:
                self.assertEqual(len(set(zip(row, column, mirror, strict=True))), 50)
            for i, image in enumerate(images):
                padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
                expected = padded[row[i] : row[i] + 8, column[i] : column[i] + 6]
                if flip and mirror[i]:
                    expected = expected[:, ::-1]
                np.testing.assert_array_equal(found[i], expected)
            self.assertEqual(found.dtype, np.uint8)

    def test_every_pixel_value_survives(self):
        images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
        found = crop_pixels.crop_flip(images, tf.constant([0], tf.int64), 0, 0, padding=0).numpy()
        self.assertAllEqual(np.sort(found.ravel()), np.arange(256))

    def test_frequencies(self):
        # 40,000 draws of 9 x 9 offsets: a cell expects 494, deviation 22; flips expect 20,000, deviation 100.
        ids = tf.range(40_000, dtype=tf.int64)
        row, column, mirror = draws(None, ids, 0, 0, padding=4)
        cells = np.bincount(row * 9 + column, minlength=81)
        self.assertEqual(len(cells), 81)
        self.assertLess(abs(cells - 40_000 / 81).max(), 5 * 22)
        self.assertLess(abs(mirror.sum() - 20_000), 500)

    def test_depends_on_seed_and_epoch(self):
        images, ids = random_images(64), tf.range(64, dtype=tf.int64)
        base = crop_pixels.crop_flip(images, ids, 0, 0).numpy()
        for epoch, seed in ((1, 0), (0, 1)):
            other = crop_pixels.crop_flip(images, ids, epoch, seed).numpy()
            self.assertGreater((base != other).any((1, 2, 3)).sum(), 50)

    def test_independent_of_batch_and_order(self):
        images, ids = random_images(50), np.arange(50)
        whole = crop_pixels.crop_flip(images, tf.constant(ids), 3, 1).numpy()
        order = np.random.default_rng(1).permutation(50)
        for part in np.split(order, [1, 14, 40]):
            self.assertAllEqual(
                crop_pixels.crop_flip(images[part], tf.constant(ids[part]), 3, 1), whole[part]
            )

    def test_compiled_loop_equals_eager(self):
        images, ids = random_images(12), tf.range(12, dtype=tf.int64)
        expected = crop_pixels.crop_flip(images, ids, 2, 1)
        signature = [tf.TensorSpec([None, 8, 6, 3], tf.uint8), tf.TensorSpec([None], tf.int64)]
        signature.append(tf.TensorSpec([], tf.int64))

        def in_a_loop(images, ids, epoch):
            def body(i, out):
                rows = slice(4 * i, 4 * i + 4)
                return i + 1, out.write(i, crop_pixels.crop_flip(images[rows], ids[rows], epoch, 1))

            out = tf.TensorArray(tf.uint8, 3, element_shape=[None, 8, 6, 3])
            return tf.while_loop(lambda i, _: i < 3, body, (0, out))[1].concat()

        def plain(images, ids, epoch):
            return crop_pixels.crop_flip(images, ids, epoch, 1)

        for function, jit in ((plain, False), (plain, True), (in_a_loop, False)):
            compiled = tf.function(function, input_signature=signature, jit_compile=jit)
            self.assertAllEqual(compiled(images, ids, tf.constant(2, tf.int64)), expected)

    def test_has_gpu_kernels(self):
        from tensorflow.python.framework import kernels

        function = tf.function(lambda x, i, e: crop_pixels.crop_flip(x, i, e, 1))
        graph = function.get_concrete_function(
            tf.TensorSpec([None, 8, 6, 3], tf.uint8),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int64),
        ).graph
        gathers = [op for op in graph.get_operations() if op.type == "GatherV2"]
        self.assertLen(gathers, 1)
        dtype = gathers[0].inputs[0].dtype.as_datatype_enum
        registered = kernels.get_registered_kernels_for_op("GatherV2").kernel
        on_gpu = [
            kernel
            for kernel in registered
            if kernel.device_type == "GPU"
            and any(c.name == "Tparams" and dtype in c.allowed_values.list.type for c in kernel.constraint)
        ]
        self.assertNotEmpty(on_gpu)
        # These int32 kernels run on the host even on a GPU, and would copy there and back.
        for op in graph.get_operations():
            if op.type in ("Mul", "AddV2", "Sub"):
                self.assertNotEqual(op.inputs[0].dtype, tf.int32, op.name)

    def test_empty_batch(self):
        found = crop_pixels.crop_flip(random_images(0), tf.zeros([0], tf.int64), 0, 0)
        self.assertEqual(found.shape, [0, 8, 6, 3])


class BuildAugmentationTest(tf.test.TestCase):
    def test_names(self):
        images, ids = random_images(6), tf.range(6, dtype=tf.int64)
        self.assertIsNone(AUGMENTATIONS["none"]().build(seed=0))
        for name, flip in (("crop", False), ("crop_flip", True)):
            built = AUGMENTATIONS[name](augmentation_padding=1).build(seed=3)
            expected = crop_pixels.crop_flip(images, ids, 2, 3, padding=1, flip=flip)
            self.assertAllEqual(built(images, ids, tf.constant(2, tf.int64)), expected)

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaisesRegex(UserError, "--augmentation=crop_flp: there is no such .*flip"):
            StepConfig.component("augmentation", "crop_flp")
        with self.assertRaisesRegex(UserError, "--augmentation_padding=-1"):
            StepConfig.component("augmentation", "crop", augmentation_padding=-1)


if __name__ == "__main__":
    tf.test.main()
