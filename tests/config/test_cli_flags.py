"""Flags from the configuration and back: the surface, parsing, flagfiles, and run.flags."""

import contextlib
import dataclasses
import os
import tempfile
import typing
import unittest
from pathlib import Path
from unittest import mock

from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.flag_surface import SNAPSHOT, UPDATE, flag_surface
from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import flag_parsing


def parse(*arguments: str) -> Config:
    """The configuration of arguments."""
    config = cli_flags.parse(["main", *arguments])
    assert config is not None
    return config


class SurfaceTest(unittest.TestCase):
    maxDiff = None

    def test_snapshot(self):
        text = SNAPSHOT.read_text(encoding="utf-8")
        self.assertEqual(
            text,
            flag_surface(),
            f"\nThe command line changed. If it was meant to: {UPDATE}, and the CHANGELOG.",
        )

    def test_help_shows_every_flag_with_its_default_and_what_it_accepts(self):
        text = cli_flags.help_text()
        for _, setting in settings_fields():
            line = next(line for line in text.splitlines() if line.startswith(f"  --{setting.name}="))
            self.assertIn(flag_parsing.flag_text(setting, setting.default), line)
            for choice in setting.metadata["choices"]:
                self.assertIn(choice, line)
            self.assertIn(setting.metadata["help"], text)
        for title in cli_flags.GROUP_TITLES.values():
            self.assertIn(title, text)
        self.assertIsNone(cli_flags.parse(["main", "--help", "--epochs=3"]))
        self.assertIsNone(cli_flags.parse(["main", "-h"]))

    def test_no_arguments_give_the_defaults(self):
        self.assertEqual(parse(), Config())

    def test_names_are_unique(self):
        names = [setting.name for _, setting in settings_fields()]
        self.assertEqual(len(names), len(set(names)))


class ValuesTest(unittest.TestCase):
    def test_words_for_none(self):
        config = parse("--clip_norm=none", "--batch_size=full", "--ema_decay=none", "--train_size=none")
        self.assertEqual(config, Config())
        config = parse("--clip_norm=0.25", "--batch_size=256", "--data_dir=")
        self.assertEqual((config.step.clip_norm, config.optimizer.batch_size), (0.25, 256))
        self.assertIsNone(config.data.data_dir)

    def test_kinds(self):
        config = parse(
            "--nonesterov", "--shuffle", "--quiet=false", "--learning_rate", "1e-2", "--schedule=steps",
            "--decay_epochs=2,4.5", "--profile_steps=3,5", "--epochs=9",
        )  # fmt: skip
        self.assertEqual((config.values()["nesterov"], config.optimizer.shuffle), (False, True))
        self.assertEqual(config.optimizer.learning_rate, 0.01)
        self.assertEqual(config.values()["decay_epochs"], (2.0, 4.5))
        self.assertEqual(config.runtime.profile_steps, (3, 5))
        self.assertIsInstance(config.runtime.profile_steps[0], int)

    def test_the_last_value_wins(self):
        self.assertEqual(parse("--epochs=3", "--epochs=4").runtime.epochs, 4)

    def test_paths_that_are_read_are_absolute_and_tilde_is_the_home_folder(self):
        with mock.patch.dict(os.environ, {"HOME": "/somebody"}):
            config = parse("--data_dir=sets", "--initial_weights=~/w.keras", "--output_dir=~/runs/a")
            self.assertEqual(parse("--output_dir=runs/a").runtime.output_dir, "runs/a")
        self.assertEqual(config.data.data_dir, str(Path.cwd() / "sets"))
        self.assertEqual(config.model.initial_weights, "/somebody/w.keras")
        self.assertEqual(config.runtime.output_dir, "/somebody/runs/a")

    def test_one_line_errors(self):
        cases = {
            ("--epohcs=3",): ("epohcs", "Did you mean", "epochs"),
            ("--epochs=three",): ("epochs", "three", "whole number"),
            ("--epochs=1.5",): ("whole number",),
            ("--clip_norm=much",): ("a number or none",),
            ("--batch_size=all",): ("a whole number or full",),
            ("--epochs",): ("epochs",),
            ("train",): ("'train'", "--name=value"),
            ("--quiet", "false"): ("'false'",),
            ("--output_dir=a\nb",): ("line ends",),
            ("--quiet=perhaps",): ("quiet",),
        }
        for arguments, parts in cases.items():
            with self.subTest(arguments=arguments), self.assertRaises(UserError) as caught:
                parse(*arguments)
            self.assertNotIn("\n", str(caught.exception))
            for part in parts:
                self.assertIn(part, str(caught.exception))


class FlagfileTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name: str, text: str) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_includes_are_looked_for_beside_the_file_and_later_flags_win(self):
        self.write("shared/base.flags", "--epochs=5\n--seed=1\n--momentum=0.5\n")
        self.write("rows/row.flags", "--flagfile=../shared/base.flags\n--seed=2\n")
        file = self.write("top.flags", "--momentum=0.1\n--flagfile=rows/row.flags\n")
        config = parse(f"--flagfile={file}", "--epochs=7")
        self.assertEqual((config.runtime.epochs, config.step.seed, config.values()["momentum"]), (7, 2, 0.5))
        config = parse("--epochs=7", "--flagfile", file)
        self.assertEqual(config.runtime.epochs, 5)

    def test_a_relative_file_is_looked_for_in_the_working_folder(self):
        self.write("a.flags", "--epochs=5\n")
        with contextlib.chdir(self.folder):
            self.assertEqual(parse("--flagfile=a.flags").runtime.epochs, 5)

    def test_comments_quotes_blank_lines_and_windows_line_ends(self):
        text = "# don't mind\n\n--epochs=5  # five\r\n  --shuffle\r\n'--output_dir=a b#c'\n--output_dir=\"d 'e'\"\n"
        config = parse(f"--flagfile={self.write('a.flags', text)}")
        self.assertEqual((config.runtime.epochs, config.optimizer.shuffle), (5, True))
        self.assertEqual(config.runtime.output_dir, "d 'e'")

    def test_the_same_file_twice_is_no_circle(self):
        self.write("base.flags", "--seed=1\n")
        file = self.write("a.flags", "--flagfile=base.flags\n--seed=2\n--flagfile=base.flags\n")
        self.assertEqual(parse(f"--flagfile={file}").step.seed, 1)

    def test_a_byte_order_mark_is_no_part_of_the_first_flag(self):
        self.write("inner.flags", "\ufeff--seed=3\n")
        file = self.write("a.flags", "\ufeff--epochs=5\n--flagfile=inner.flags\n")
        config = parse(f"--flagfile={file}")
        self.assertEqual((config.runtime.epochs, config.step.seed), (5, 3))
        utf16 = self.folder / "utf16.flags"
        utf16.write_bytes("--epochs=5\n".encode("utf-16"))
        with self.assertRaisesRegex(
            UserError, "^--flagfile=.*utf16.flags: cannot read it .not a text file in UTF-8"
        ):
            parse(f"--flagfile={utf16}")

    def test_files_that_include_each_other_many_times_are_refused_soon(self):
        self.write("0.flags", "--seed=1\n")
        for k in range(1, 40):  # 2^39 inclusions of the first
            self.write(f"{k}.flags", f"--flagfile={k - 1}.flags\n" * 2)
        with self.assertRaisesRegex(
            UserError, "^--flagfile=[0-9]+.flags: flagfiles include .* more than 1000 times"
        ):
            parse(f"--flagfile={self.folder}/39.flags")
        self.assertEqual(parse(f"--flagfile={self.folder}/8.flags").step.seed, 1)

    def test_errors(self):
        itself = self.write("itself.flags", "--flagfile=itself.flags\n")
        circle = self.write("one.flags", "--flagfile=two.flags\n")
        self.write("two.flags", "--flagfile=one.flags\n")
        quote = self.write("quote.flags", "--epochs=5\n--output_dir='a\n")
        binary = self.folder / "binary.flags"
        binary.write_bytes(b"\xff\xfe\x00")
        cases = {
            "absent.flags": ("absent.flags", "No such file"),
            str(self.folder): ("directory",),
            itself: ("includes itself",),
            circle: ("includes itself",),
            quote: ("line 2", "quotation"),
            str(binary): ("not a text file",),
        }
        for file, parts in cases.items():
            with self.subTest(file=file), self.assertRaises(UserError) as caught:
                parse(f"--flagfile={file}")
            for part in ("--flagfile=", *parts):
                self.assertIn(part, str(caught.exception))
        with self.assertRaisesRegex(UserError, "needs a file"):
            parse("--flagfile")


def values(setting: dataclasses.Field) -> st.SearchStrategy:
    """Valid values of a setting, from its type and range."""
    limits = setting.metadata
    if limits["choices"]:
        return st.sampled_from(limits["choices"])
    kinds = typing.get_args(setting.type) or (setting.type,)
    if str in kinds:
        text = st.text(
            st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=9
        )
        # As the command line leaves them: absolute, without doubled slashes and dots.
        given = (
            text.map(lambda t: os.path.normpath("/" + t))
            if setting.name != "dataset"
            else text.map(str.strip)
        )
        given = given.filter(lambda t: t and not t.startswith("//"))
    elif bool in kinds:
        given = st.booleans()
    else:
        whole = int in kinds or typing.get_args(setting.type)[:1] == (int,)
        low = limits["minimum"] if limits["minimum"] is not None else limits["above"]
        high = limits["maximum"] if limits["maximum"] is not None else limits["below"]
        if whole:
            given = st.integers(low, high - 1 if high else 10**9)
        else:
            given = st.floats(
                low, high, exclude_min=limits["above"] is not None, exclude_max=limits["below"] is not None,
                allow_nan=False, allow_infinity=False,
            )  # fmt: skip
        if typing.get_origin(setting.type) is tuple:
            # Both settings of several numbers want them ascending; one of them wants two.
            return st.lists(given, min_size=2, max_size=2).map(lambda v: tuple(sorted(v)))
    return given | st.none() if setting.default is None else given


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Valid configurations in which any settings differ from their defaults."""
    changed = draw(st.sets(st.sampled_from([s.name for _, s in settings_fields()]), max_size=12))
    chosen = {s.name: draw(values(s)) for _, s in settings_fields() if s.name in changed}
    try:
        return Config().replacing(**chosen)
    except UserError:  # settings that contradict each other
        assume(False)
        raise


class RunFlagsTest(unittest.TestCase):
    @hypothesis_settings(max_examples=150, deadline=None)
    @given(configs())
    def test_run_flags_repeat_the_run(self, config: Config):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "run.flags"
            file.write_text(cli_flags.flagfile_text(config), encoding="utf-8")
            self.assertEqual(parse(f"--flagfile={file}"), config)

    @hypothesis_settings(max_examples=50, deadline=None)
    @given(configs())
    def test_config_json_keeps_everything(self, config: Config):
        self.assertEqual(Config.from_dict(config.to_dict()), config)

    def test_only_what_differs_is_written(self):
        self.assertEqual(1, len(cli_flags.flagfile_text(Config()).splitlines()))
        lines = cli_flags.flagfile_text(Config().replacing(epochs=7, output_dir="it's a #1")).splitlines()
        self.assertEqual(lines[1], "--epochs=7")
        self.assertEqual(3, len(lines))

    def test_every_setting_can_be_given(self):
        # One setting at a time, so that a flag that cannot say some value does not hide behind the others.
        for _, setting in settings_fields():
            with self.subTest(setting=setting.name):
                text = flag_parsing.flag_text(setting, setting.default)
                self.assertEqual(parse(f"--{setting.name}={text}"), Config())


if __name__ == "__main__":
    unittest.main()
