"""A core of the conformance table, in float64; and that its document and its list of layers are whole."""

import inspect

import keras
import tensorflow as tf
from absl.testing import parameterized

from tests.layers.cases import CASES
from tests.layers.conformance import faults
from tests.layers.table import DOCUMENT, NOT_COVERED, UPDATE, document

CORE = (
    "Dense (constraint)",
    "Dense (rematerialised)",
    "Embedding (mask_zero)",
    "Conv2D",
    "MaxPooling2D (stride 1, same)",
    "UpSampling2D (bilinear)",
    "BatchNormalization",
    "SpectralNormalization",
    "Dropout",
    "SimpleRNN",
)


class CoreTest(parameterized.TestCase):
    @parameterized.parameters(*CORE)
    def test_row(self, name: str) -> None:
        self.assertEqual(faults(CASES[name], ["float64"]), [])


class TableTest(tf.test.TestCase):
    def test_document(self) -> None:
        self.assertEqual(DOCUMENT.read_text(encoding="utf-8"), document(), f"Write it anew: {UPDATE}")

    def test_every_layer_of_keras_is_in_the_table_or_named_as_left_out(self) -> None:
        public = {name: value for name, value in vars(keras.layers).items() if inspect.isclass(value)}
        covered = {getattr(keras.layers, name.split(" ")[0]) for name in CASES}
        left_out = {getattr(keras.layers, name) for names in NOT_COVERED for name in names.split()}
        missing = [name for name, layer in public.items() if layer not in covered | left_out]
        self.assertEqual(missing, [])
        self.assertEqual(covered & left_out, set())


if __name__ == "__main__":
    tf.test.main()
