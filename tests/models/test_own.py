"""Networks of Keras' applications: raw pixels in, logits out, the same for the same seed."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.models.build import build_network


class ApplicationsTest(tf.test.TestCase, parameterized.TestCase):
    def build(self, name: str, options: str | None = None, seed: int = 0, side: int = 32) -> keras.Model:
        pixels = {"pixel_mean": [0.5, 0.4, 0.3], "pixel_std": [0.2, 0.3, 0.4]}
        return build_network(
            name, input_shape=(side, side, 3), num_classes=7, seed=seed, model_options=options, **pixels
        )

    def test_pixels_in_logits_out(self) -> None:
        network = self.build("keras:MobileNet", "alpha=0.25, dropout=0.0")
        pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("uint8")
        found = network.predict(pixels, verbose=0)
        self.assertEqual((found.shape, network.name), ((4, 7), "keras_MobileNet"))
        plain = keras.applications.MobileNet(
            input_shape=(32, 32, 3),
            alpha=0.25,
            dropout=0.0,
            weights=None,
            classes=7,
            classifier_activation=None,
        )
        plain.set_weights(network.get_weights())
        normalised = (pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
        self.assertAllClose(
            found, plain.predict(normalised.astype("float32"), verbose=0), rtol=1e-5, atol=1e-5
        )

    def test_the_seed_makes_the_weights(self) -> None:
        one, same, other = (self.build("keras:MobileNet", "alpha=0.25", seed) for seed in (1, 1, 2))
        self.assertAllEqual(one.get_weights()[0], same.get_weights()[0])
        self.assertNotAllClose(one.get_weights()[0], other.get_weights()[0])

    def test_options_that_keras_does_not_take(self) -> None:
        with self.assertRaisesRegex(UserError, r"MobileNet\(.*\) does not take that: .*'depth'"):
            self.build("keras:MobileNet", "depth=3")
        with self.assertRaisesRegex(UserError, "failed: .*ValueError"):
            self.build("keras:MobileNetV3Small", "weights='nowhere'")

    def test_images_that_are_too_small(self) -> None:
        with self.assertRaisesRegex(
            UserError,
            "^--model=keras:InceptionV3 does not take images of 8x8, but those of 224x224: .* --image_size",
        ):
            self.build("keras:InceptionV3", side=8)

    @parameterized.parameters("depth=3", "weights='nowhere'")
    def test_options_are_not_taken_for_small_images(self, options: str) -> None:
        with self.assertRaises(UserError) as caught:
            self.build("keras:InceptionV3", options, side=8)
        self.assertNotIn("--image_size", str(caught.exception))


if __name__ == "__main__":
    tf.test.main()
