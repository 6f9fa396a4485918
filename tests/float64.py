"""Tests in which Keras builds everything in float64, so that what is exact in mathematics can be compared tightly."""

import keras
import tensorflow as tf
from absl.testing import parameterized


class Float64Case(tf.test.TestCase, parameterized.TestCase):
    """Has float64 as Keras' float type and as its dtype policy."""

    def setUp(self) -> None:
        super().setUp()
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")

    def tearDown(self) -> None:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        super().tearDown()
