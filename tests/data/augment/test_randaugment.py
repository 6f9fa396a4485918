"""RandAugment against keras-cv's own."""

import functools
import sys
from unittest import mock

import keras_cv
import numpy as np
import tensorflow as tf

from tf_fullbatch.core import random_bits
from tf_fullbatch.data.augment import crop_pixels, keras_cv_randaugment
from tf_fullbatch.data.augment.randaugment import RandAugment
from tf_fullbatch.errors import UserError

SIZE = 12


def random_images(count):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def compile_for_any_batch(function):
    signature = [tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8), tf.TensorSpec([None], tf.int64)]
    # AutoGraph off, as within Keras' own functions: keras-cv must not need the caller's.
    return tf.function(function, input_signature=[*signature, tf.TensorSpec([], tf.int64)], autograph=False)


class RandAugmentTest(tf.test.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        built = keras_cv_randaugment.build_randaugment(seed=5, magnitude=0.5, augmentations_per_image=2)
        cls.augment = staticmethod(compile_for_any_batch(built))

    def apply(self, images, ids, epoch=0):
        return self.augment(images, tf.constant(ids, tf.int64), tf.constant(epoch, tf.int64)).numpy()

    def test_independent_of_batch_and_order(self):
        images, ids = random_images(150), np.arange(150)
        whole = self.apply(images, ids)
        self.assertEqual(whole.dtype, np.uint8)
        self.assertEqual(whole.shape, images.shape)
        order = np.random.default_rng(1).permutation(150)
        for part in np.split(order, [1, 8, 60]):
            self.assertAllEqual(self.apply(images[part], ids[part]), whole[part])

    def test_again_and_in_another_function(self):
        images, ids = random_images(30), np.arange(30)
        again = keras_cv_randaugment.build_randaugment(seed=5, magnitude=0.5, augmentations_per_image=2)
        first = self.apply(images, ids)
        self.assertAllEqual(self.apply(images, ids), first)
        self.assertAllEqual(compile_for_any_batch(again)(images, ids, tf.constant(0, tf.int64)), first)

    def test_epochs_and_samples_differ(self):
        images = np.repeat(random_images(1), 60, axis=0)
        epochs = [self.apply(images, np.arange(60), epoch) for epoch in (0, 1)]
        # Two operations out of eleven twice over: alike by chance in about 1 of 20.
        self.assertGreater((epochs[0] != epochs[1]).any((1, 2, 3)).sum(), 45)
        self.assertGreater(len(np.unique(epochs[0], axis=0)), 45)

    def test_empty_batch(self):
        self.assertEqual(self.apply(random_images(0), np.arange(0)).shape, (0, SIZE, SIZE, 3))

    def test_composed_after_crop_and_flip(self):
        images, ids, epoch = random_images(10), tf.range(10, dtype=tf.int64), tf.constant(3, tf.int64)
        settings = RandAugment(augmentation_padding=2, randaugment_magnitude=0.5, randaugment_operations=2)
        built = settings.build(seed=5)
        cropped = crop_pixels.crop_flip(images, ids, epoch, 5, padding=2)
        self.assertAllEqual(built(images, ids, epoch), self.augment(cropped, ids, epoch))


class OperationsTest(tf.test.TestCase):
    def test_strengths_have_keras_cvs_form_and_distribution(self):
        """Each draw against keras-cv's own generator: same structure and shape, mean and deviation alike."""
        policy = keras_cv.layers.RandAugment.get_standard_policy((0, 255), 0.4, 0.15, seed=1)
        self.assertLen(policy, 10)
        count = 4000
        tf.random.set_seed(0)
        streams = tf.constant([[0], [1], [2]], tf.int64)
        per_sample = tf.transpose(random_bits.random_bits(0, 0, tf.range(count, dtype=tf.int64), streams))
        for layer in policy[2:]:
            strength = functools.partial(keras_cv_randaugment._STRENGTHS[type(layer).__name__], layer)
            ours = tf.vectorized_map(
                lambda b, draw=strength: tf.nest.flatten(draw(*tf.unstack(b))), per_sample
            )
            theirs = tf.nest.flatten(layer.get_random_transformation_batch(count))
            for one, other in zip(ours, theirs, strict=True):
                self.assertEqual(one.shape[2:], other.shape[1:])
                one, other = one.numpy().ravel(), other.numpy().ravel()
                spread = max(other.std(), 1e-6)
                # Both are samples of 4000: the difference of means has deviation 0.022 spreads.
                self.assertLess(abs(one.mean() - other.mean()), 0.12 * spread, type(layer).__name__)
                self.assertAllClose(one.std(), other.std(), rtol=0.08, atol=1e-6)
                self.assertAllInRange(one, other.min() - 0.5 * spread, other.max() + 0.5 * spread)

    def test_each_operation_is_keras_cvs(self):
        pixels = tf.constant(random_images(1), tf.float32)
        policy = keras_cv.layers.RandAugment.get_standard_policy((0, 255), 0.5, 0.15)
        draws = [tf.constant(v, tf.uint32) for v in (2**31 + 12345, 2**30, 2**31)]
        for layer in policy:
            strength = keras_cv_randaugment._STRENGTHS[type(layer).__name__](layer, *draws)
            expected = tf.function(layer.augment_images)(pixels, transformations=strength)
            found = tf.function(keras_cv_randaugment._operate)(layer, pixels, *draws)
            self.assertAllEqual(found, expected)

    def test_operations_and_identity_are_equally_likely(self):
        layers = [mock.Mock() for _ in range(2)]
        with mock.patch.object(
            keras_cv_randaugment, "_operate", lambda layer, x, *_: x + 1 + layers.index(layer)
        ):
            bits = random_bits.random_bits(0, 0, tf.range(3000, dtype=tf.int64), 0)
            apply = tf.function(
                lambda b: keras_cv_randaugment._apply_one(layers, tf.zeros([1, 1, 1, 3]), [b, b, b, b])
            )
            found = tf.map_fn(apply, bits, fn_output_signature=tf.float32)
        counts = np.bincount(found.numpy()[:, 0, 0, 0, 0].astype(int), minlength=3)
        self.assertAllClose(counts / 3000, np.full(3, 1 / 3), atol=0.05)

    def test_unknown_operation_is_refused(self):
        with self.assertRaisesRegex(ValueError, "Mock of keras-cv's RandAugment is unknown"):
            keras_cv_randaugment._operate(mock.Mock(), tf.zeros([1, 2, 2, 3]))
        with self.assertRaisesRegex(ValueError, "Mock is unknown"):
            keras_cv_randaugment._draw(mock.Mock(), tf.constant(0, tf.uint32), [])


class RefusalsTest(tf.test.TestCase):
    def test_arguments(self):
        for magnitude, operations, what in (
            (1.5, 2, "--randaugment_magnitude=1.5: must be at most 1"),
            (0.5, 0, "--randaugment_operations=0: must be at least 1"),
        ):
            with self.assertRaisesRegex(UserError, what):
                RandAugment(randaugment_magnitude=magnitude, randaugment_operations=operations)

    def test_gray_images(self):
        built = keras_cv_randaugment.build_randaugment(seed=0, magnitude=0.5, augmentations_per_image=1)
        with self.assertRaisesRegex(UserError, "3 channels, these have 1"):
            built(tf.zeros([2, 8, 8, 1], tf.uint8), tf.range(2, dtype=tf.int64), tf.constant(0, tf.int64))

    def test_missing_package(self):
        with (
            mock.patch.dict(sys.modules, {"keras_cv": None}),
            self.assertRaisesRegex(UserError, r"pip install 'tf-fullbatch\[randaugment\]'"),
        ):
            RandAugment().build(seed=0)


if __name__ == "__main__":
    tf.test.main()
