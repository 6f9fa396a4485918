"""--flagfile=recipe:NAME: the shipped flagfiles, from any folder, on every command that takes flagfiles."""

import contextlib
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.recipes.test_flagfiles import FLAGS, parse
from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import flagfiles
from tf_fullbatch.studies import definition


def parsed(*arguments: str) -> Config:
    """What arguments of `tf_fullbatch.main` mean."""
    config = cli_flags.parse(["main", *arguments])
    assert config is not None
    return config


class RecipeNamesTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(contextlib.chdir(self.folder))

    def test_every_flagfile_has_a_name(self) -> None:
        known = flagfiles.recipes()
        self.assertEqual(sorted(FLAGS.rglob("*.flags")), sorted(known.values()))
        self.assertEqual(FLAGS / "cifar10" / "sgd.flags", known["cifar10/sgd"])
        self.assertIn("quickstart", known)

    def test_means_the_file(self) -> None:
        for name in ("quickstart", "digits/fb_clipped", "cifar10_no_augmentation/sgd"):
            self.assertEqual(parse(FLAGS / f"{name}.flags"), parsed(f"--flagfile=recipe:{name}"))
            self.assertEqual(parse(FLAGS / f"{name}.flags"), parsed("--flagfile", f"recipe:{name}"))

    def test_within_a_flagfile_of_ones_own(self) -> None:
        Path("mine.flags").write_text("--flagfile=recipe:digits/sgd\n--epochs=3\n", encoding="utf-8")
        self.assertEqual(
            parse(FLAGS / "digits" / "sgd.flags", "--epochs=3"), parsed("--flagfile=mine.flags", "--seed=0")
        )

    def test_what_is_written_is_below_the_working_folder_and_repeats_the_run(self) -> None:
        config = parsed("--flagfile=recipe:quickstart")
        self.assertEqual("runs/quickstart", config.runtime.output_dir)
        Path("run.flags").write_text(cli_flags.flagfile_text(config), encoding="utf-8")
        self.assertNotIn("recipe:", Path("run.flags").read_text(encoding="utf-8"))
        self.assertEqual(config, parsed("--flagfile=run.flags"))

    def test_in_studies(self) -> None:
        by_path = definition.parse(["study", f"--flagfile={FLAGS / 'studies' / 'digits_ladder.flags'}"])
        self.assertEqual(by_path, definition.parse(["study", "--flagfile=recipe:studies/digits_ladder"]))
        arms = ["--row=plain recipe:digits/sgd --epochs=3", "--all_rows=--flagfile=recipe:digits/base"]
        found = definition.parse(["study", *arms, "--output_dir=s"])
        assert found is not None
        self.assertEqual(parse(FLAGS / "digits" / "sgd.flags", "--epochs=3"), found[1].arms[0].config)

    def test_what_there_is_is_said_in_one_line(self) -> None:
        said = (
            "there are cifar10/{base,fb_baseline,fb_clipped,fb_in_practice,fb_regularized,fb_strong_reg,"
            "fb_train_longer,sgd}, cifar100/{"
        )
        for name in ("", "sgd", "other"):
            value = f"recipe:{name}"
            what = f"there is no recipe {name!r}" if name else "name a recipe"
            problem = f"--flagfile={value}: {what}; {said}"
            for refused in (
                lambda v=value: parsed(f"--flagfile={v}"),
                lambda v=value: definition.parse(["study", f"--row=a {v}", "--output_dir=s"]),
            ):
                with self.assertRaises(UserError) as raised:
                    refused()
                self.assertTrue(str(raised.exception).startswith(problem), str(raised.exception))
                self.assertEqual(1, len(str(raised.exception).splitlines()))
                self.assertIn(", quickstart, studies/{", str(raised.exception))
        for name, near in (("../quickstart", "quickstart"), ("cifar/sgd", "cifar10/sgd")):
            with self.assertRaisesRegex(
                UserError, f"{name}'; did you mean recipe:{near}. .*recipe: lists all"
            ):
                parsed(f"--flagfile=recipe:{name}")
        self.assertEqual([], list(self.folder.iterdir()))

    def test_of_an_installed_package_they_lie_within_it(self) -> None:
        package = self.folder / "site-packages" / "tf_fullbatch"
        shutil.copytree(FLAGS, package / "recipes")
        with mock.patch.object(flagfiles, "_PACKAGE", package):
            self.assertEqual(
                package / "recipes" / "cifar10" / "sgd.flags", flagfiles.recipes()["cifar10/sgd"]
            )
            self.assertEqual(parse(FLAGS / "cifar10" / "sgd.flags"), parsed("--flagfile=recipe:cifar10/sgd"))


if __name__ == "__main__":
    unittest.main()
