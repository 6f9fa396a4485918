"""What families refuse: images that do not fit, and settings that do not go together, in one line each."""

import unittest

from absl.testing import parameterized

from tests.models.networks import built


class RefusalsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("vgg11", 7, {}, "7x7 pixels are too small: .* sides of at least 8. Use larger images."),
        ("densenet121", 7, {}, "7x7 pixels are too small: .*'cifar' .* at least 8"),
        ("densenet_tiny", 7, {"stem": "imagenet"}, "'imagenet' .* at least 8"),
        ("convnext_tiny", 7, {}, "7x7 pixels are too small: .* at least 8. .* or a smaller --patch_size"),
        ("convnext_tiny", 8, {"patch_size": 2}, "at least 16"),
        ("vit_ti4", 3, {}, "3x3 pixels are too small: .* at least 4. .* or a smaller --patch_size"),
        ("vit_ti16", 24, {}, "24x24 pixels are no whole number of patches of 16x16: give a --patch_size"),
        ("vit_s4", 8, {"width": 64}, "--width=64: the 6 heads of vit_s4 share the width: give a multiple of 6"),
        ("cnn", 3, {}, "3x3 pixels are too small: .* at least 4. .* fewer --conv_layers or --pooling=none"),
        ("cnn", 8, {"pooling": "min"}, "--pooling=min: accepted are max, average, none"),
        ("vgg11", 8, {"weight_standardisation": True}, "have no bias; give --noconv_bias"),
        ("vit_micro", 8, {"activation": "relu", "norm": "group"}, "--norm=group has no effect with --model=vit_micro"),
        ("convnext_micro", 8, {"stem": "cifar"}, "--stem=cifar has no effect with --model=convnext_micro"),
    )  # fmt: skip
    def test_one_line(self, name: str, side: int, settings: dict, message: str):
        with self.assertRaisesRegex(ValueError, message) as caught:
            built(name, (side, side, 3), **settings)
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.parameters("vgg11", "densenet_tiny", "vit_micro", "convnext_micro", "cnn")
    def test_inputs_that_are_no_images(self, name: str):
        with self.assertRaisesRegex(ValueError, r"it takes images .*\(8, 3\): use --model=mlp or linear"):
            built(name, (8, 3))

    def test_the_least_images_are_taken(self):
        for name, side, settings in (
            ("vgg11", 8, {"width": 1}),
            ("densenet_tiny", 2, {}),
            ("convnext_micro", 2, {}),
            ("vit_micro", 4, {}),
            ("cnn", 4, {}),
            ("cnn", 1, {"pooling": "none"}),
        ):
            with self.subTest(name):
                self.assertEqual(built(name, (side, side + 4, 1), **settings).output.shape, (None, 3))


if __name__ == "__main__":
    unittest.main()
