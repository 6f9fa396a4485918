"""The command `python -m tf_fullbatch.models`."""

import contextlib
import dataclasses
import io
import tempfile
import unittest
from pathlib import Path

from tf_fullbatch.commands import models
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.registry import MODELS


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = models.main(["models", *arguments])
    return code, out.getvalue(), err.getvalue()


class ArgumentsTest(unittest.TestCase):
    def test_unset_are_all_models_at_their_defaults(self):
        _, configs = models.parse(["models"])
        self.assertEqual(list(configs), list(MODELS))

    def test_settings_are_of_the_networks_that_are_named(self):
        options, configs = models.parse(
            ["models", "--model=resnet8,resnet20", "--norm=group", "--image_size=16"]
        )
        self.assertEqual(options.image_size, 16)
        self.assertEqual(
            {name: config.chosen_model.norm for name, config in configs.items()},
            {"resnet8": "group", "resnet20": "group"},
        )

    def test_of_several_those_that_lack_a_setting_are_refused(self):
        _, configs = models.parse(["models", "--norm=group"])
        self.assertEqual(list(configs), list(MODELS))
        for name, config in configs.items():
            if isinstance(config, UserError):
                self.assertNotIn("norm", {field.name for field in dataclasses.fields(MODELS[name])}, name)
                self.assertRegex(
                    str(config), f"^--norm=group has no effect with --model={name}: leave it at batch"
                )
            else:
                self.assertEqual(config.chosen_model.norm, "group")
        self.assertIsInstance(configs["vit_ti4"], UserError)
        self.assertEqual(configs["resnet18"].chosen_model.norm, "group")

    def test_refused(self):
        for arguments, reason in (
            (["--model=mlp,resnet51"], "--model=mlp,resnet51: not resnet51: did you mean .*resnet50"),
            (
                ["--model=resnet51"],
                rf"^--model=resnet51: did you mean [^?]*resnet50[^?]*\? Accepted are {len(MODELS)} names "
                r"\(python -m tf_fullbatch.models lists them\), keras:NAME, FILE.py:function or package.*function.$",
            ),
            (
                ["--model=zz"],
                rf"^--model=zz: accepted are {len(MODELS)} names \(python -m tf_fullbatch.models lists ",
            ),
            (["--model=cnn,cnn"], "comes twice"),
            (["--model=cnn", "--growth_rate=3"], "--growth_rate=3 has no effect with --model=cnn"),
            (["--model=cnn,mlp", "--growth_rate=3"], "--growth_rate=3 has no effect with --model=cnn"),
            (["--width=0"], "--width=0: must be at least 1"),
            (["--model=cnn,mlp", "--norm=local"], "--norm=local: accepted are batch, "),
            (["--norm=none", "--weight_standardisation"], "--weight_standardisation with --norm=none"),
            (["--image_size=0"], "--image_size=0: must be at least 1"),
            (["--plot=a.png"], "--plot=a.png: name one --model to draw"),
            (["--plot=a.png", "--model=cnn,mlp"], "name one --model"),
            (["--plot=a.txt", "--model=cnn"], "ending in .png, .svg, .pdf"),
            (["--plot=no/such/a.png", "--model=cnn"], "existing folder"),
            (["--initial_weights=a"], "Unknown command line flag 'initial_weights'"),
        ):
            with self.subTest(arguments), self.assertRaisesRegex(UserError, reason):
                models.parse(["models", *arguments])


class CommandTest(unittest.TestCase):
    def test_a_list(self):
        code, out, err = run("--model=resnet_tiny,cnn,vit_ti16,keras:MobileNet", "--image_size=32")
        self.assertEqual((code, err), (0, ""))
        heading, _, _, tiny, cnn, vit, mobile = out.splitlines()
        self.assertEqual(heading, "images of 32x32x3, 10 classes, float32")
        self.assertRegex(tiny, r"^resnet_tiny +5,266 +2.3\dM +0.3\d  -$")
        self.assertRegex(cnn, r"^cnn +30,634 +3.26M +0.2\d  30,634: .*edge-of-stability")
        self.assertRegex(vit, r"^vit_ti16 +5,489,482 .* 5,717,416 \(224x224x3, 1000 classes\): Touvron")
        self.assertRegex(mobile, r"^keras:MobileNet +3,217,226 ")

    def test_networks_that_do_not_take_the_images_say_so(self):
        code, out, _ = run("--model=vgg11,vit_micro,mlp", "--image_size=6")
        *_, vgg, vit, mlp = out.splitlines()
        self.assertEqual(code, 0)
        self.assertRegex(
            vgg, "^vgg11 +- +- +-  not counted: Images of 6x6 pixels are too small: .* at least 8"
        )
        self.assertRegex(vit, "no whole number of patches of 4x4")
        self.assertRegex(mlp, "^mlp +[0-9,]+ ")

    def test_networks_without_a_setting_say_so(self):
        code, out, err = run("--model=resnet_tiny,mlp,keras:MobileNet,text_mlp", "--norm=group")
        *_, tiny, mlp, mobile, text = out.splitlines()
        self.assertEqual((code, err), (0, ""))
        self.assertRegex(tiny, "^resnet_tiny +5,266 ")
        self.assertRegex(mlp, "^mlp +- +- +-  not counted: --norm=group has no effect with --model=mlp: ")
        self.assertRegex(mobile, "^keras:MobileNet +- +- +-  not counted: --norm=group has no effect with ")
        self.assertRegex(text, "^text_mlp +- +- +-  not counted: --norm=group has no effect with ")
        _, out, _ = run("--model=mlp,text_mlp")
        self.assertRegex(
            out.splitlines()[-1],
            r"^text_mlp +- +- +-  not counted: text_mlp takes tokens \[samples, length\]",
        )

    def test_the_layers_of_one_and_its_picture(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.png"
            code, out, err = run("--model=cnn", "--conv_layers=1", "--image_size=8", f"--plot={path}")
            self.assertEqual((code, err), (0, f"picture: {path}\n"))
            self.assertEqual(path.read_bytes()[:4], b"\x89PNG")
        lines = out.splitlines()
        self.assertTrue(
            any(line.split() == ["conv1", "Conv2D", "8x8x32", "896", "55,296", "0.8"] for line in lines), out
        )
        self.assertRegex(out, r"\nall +6,026 +60,416 ")
        self.assertEqual(lines[-1], "published: - (of other settings alone)")
        _, out, _ = run("--model=cnn", "--image_size=8")
        self.assertRegex(out.splitlines()[-1], "^published: 30,634 ")

    def test_published_numbers_stand_beside_published_settings_alone(self):
        _, out, _ = run("--model=vgg11,resnet_tiny", "--norm=layer")
        *_, vgg, tiny = out.splitlines()
        self.assertRegex(vgg, r"^vgg11 +9,231,114 .*  - \(of other settings alone\)$")
        self.assertRegex(tiny, r"^resnet_tiny +[0-9,]+ .*\d  -$")
        _, out, _ = run("--model=vgg11", "--norm=none", "--image_size=224", "--classes=1000")
        self.assertRegex(out, r"\nall +132,863,336 ")
        self.assertEqual(out.splitlines()[-1], "published: 132,863,336: torchvision's documentation")
        for shortcut, said in (
            ("conv_norm", ""),
            ("pool_conv_norm", " (of --shortcut=conv_norm, as many)"),
            ("auto", " (of --shortcut=conv_norm, as many)"),
        ):
            large = ("--image_size=224", "--classes=1000", f"--shortcut={shortcut}")
            _, out, _ = run("--model=resnet18", *large)
            self.assertEqual(
                out.splitlines()[-1], f"published: 11,689,512: torchvision's documentation{said}"
            )

    def test_one_that_does_not_take_the_images_is_refused(self):
        self.assertEqual(
            run("--model=vgg11", "--image_size=4"),
            (
                2,
                "",
                "error: --model=vgg11: Images of 4x4 pixels are too small: this network needs sides of at least 8. Use "
                "larger images.\n",
            ),
        )

    def test_an_application_that_keras_lacks(self):
        code, _, err = run("--model=keras:MobilNetV2")
        self.assertEqual(code, 2)
        self.assertRegex(err, "keras.applications has no model MobilNetV2; did you mean keras:MobileNetV2")

    def test_own_code(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mine.py"
            path.write_text(
                "import keras\n"
                "def good(input_shape, num_classes):\n"
                "    layers = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)]\n"
                "    return keras.Sequential(layers)\n"
                "class Bad(keras.Model):\n"
                "    def __init__(self, input_shape, num_classes):\n"
                "        super().__init__()\n"
                "        self.dense = keras.layers.Dense(num_classes)\n"
                "    def call(self, x):\n"
                "        return self.dense(keras.ops.reshape(x, (-1, 48)))\n"
                "def bad(input_shape, num_classes):\n"
                "    return Bad(input_shape, num_classes)\n"
            )
            code, out, _ = run(f"--model={path}:good", "--image_size=4")
            self.assertEqual(code, 0)
            self.assertRegex(out, r"\nall +490 +480 ")
            code, _, err = run(f"--model={path}:bad", "--image_size=4")
            self.assertEqual(code, 2)
            self.assertRegex(err, "is no functional network")


if __name__ == "__main__":
    unittest.main()
