"""Classes of backbones: features by somebody else, pixels and logits by us."""

import textwrap
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.models.build import build_network

_CODE = """
    import keras


    class Maps(keras.Model):
        def __init__(self, width, image_shape=(None, None, 3), rank=4, **kwargs):
            pixels = keras.Input(image_shape)
            x = keras.layers.Conv2D(width, 3, padding="same", name="conv")(pixels)
            if rank == 3:
                x = keras.layers.Reshape((-1, width))(x)
            if rank == 2:
                x = keras.layers.GlobalMaxPooling2D()(x)
            super().__init__(pixels, {"maps": x} if rank == 0 else x, **kwargs)
"""


class BackbonesTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = Path(self.get_temp_dir(), "backbones.py")
        self.file.write_text(textwrap.dedent(_CODE))

    def build(self, options: str | None, seed: int = 0, name: str = "Maps") -> keras.Model:
        pixels = {"pixel_mean": [0.5, 0.4, 0.3], "pixel_std": [0.2, 0.3, 0.4]}
        return build_network(
            f"{self.file}:{name}",
            input_shape=(6, 4, 3),
            num_classes=7,
            seed=seed,
            model_options=options,
            **pixels,
        )

    @parameterized.parameters(2, 3, 4)
    def test_pixels_are_normalised_and_features_averaged(self, rank: int) -> None:
        network = self.build(f"width=5, rank={rank}")
        self.assertEqual(network.name, "backbones_py_Maps")  # TensorFlow's scopes do not begin with "_"
        pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 3))
        normalised = ((pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).astype("float32")
        kernel, bias, of_logits, bias_of_logits = network.get_weights()
        maps = tf.nn.conv2d(normalised, kernel, 1, "SAME").numpy() + bias
        features = maps.max((1, 2)) if rank == 2 else maps.mean((1, 2))
        self.assertAllClose(network(pixels), features @ of_logits + bias_of_logits, rtol=1e-5, atol=1e-5)

    def test_the_seed_makes_the_weights(self) -> None:
        one, same, other = (self.build("width=2", seed).get_weights() for seed in (1, 1, 2))
        for weights, again, others in zip(one, same, other, strict=True):
            self.assertAllEqual(weights, again)
            self.assertTrue(np.any(weights != others) or not np.any(weights))

    @parameterized.parameters(
        (None, "Maps", "'width'"),
        ("width=0", "Maps", "failed: .*ValueError"),
        ("width=2, rank=0", "Maps", "returns dict of no axes: a backbone returns features"),
        ("width=2", "Mops", r"has no function or class 'Mops'; did you mean Maps\?"),
    )
    def test_refused(self, options: str | None, name: str, message: str) -> None:
        with self.assertRaisesRegex(UserError, message):
            self.build(options, name=name)


if __name__ == "__main__":
    tf.test.main()
