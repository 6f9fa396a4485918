"""A study's flags: rows, seeds and comparisons; a bad one is refused before anything runs."""

import contextlib
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from tests.studies.studies import in_folder
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import Axis, Published, Study
from tf_fullbatch.studies import definition
from tf_fullbatch.studies.options import help_text

ARM = "--arm=a {folder}/a.flags"
OUTPUT = "--output_dir=out"


class DefinitionTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = in_folder(Path(self.enterContext(tempfile.TemporaryDirectory())), "a.flags", "b.flags")

    def parse(self, *arguments: str) -> Study:
        parsed = definition.parse(["study", *(a.format(folder=self.folder) for a in arguments)])
        assert parsed is not None
        return parsed[1]

    def config(self, *arguments: str) -> Config:
        return self.parse(*arguments, OUTPUT).arms[0].config

    def test_whole(self):
        study = self.parse(
            ARM,
            "--arm=b {folder}/b.flags --learning_rate=0.3 '--data_dir=a b'",
            "--seeds=4,2",
            "--published=a 95.70+-0.11 A table, column 3",
            "--published=b 12 elsewhere",
            "--compare=b a",
            "--waterfall=a,b",
            "--title=Two rows",
            OUTPUT,
        )
        self.assertEqual(["a", "b"], [arm.name for arm in study.arms])
        self.assertEqual(0.3, study.arms[1].config.optimizer.learning_rate)
        self.assertEqual(str(Path("a b").absolute()), study.arms[1].config.data.data_dir)
        self.assertEqual((4, 2), study.seeds)
        self.assertEqual(
            Published(accuracy=95.7, spread=0.11, source="A table, column 3"), study.arms[0].published
        )
        self.assertEqual(Published(accuracy=12.0, spread=None, source="elsewhere"), study.arms[1].published)
        self.assertEqual(
            ((("b", "a"),), ("a", "b"), "Two rows"), (study.compare, study.waterfall, study.title)
        )

    def test_defaults(self):
        study = self.parse(ARM, "--output_dir=x/ladder")
        self.assertEqual(
            ((0, 1, 2), (), (), "ladder"), (study.seeds, study.compare, study.waterfall, study.title)
        )
        self.assertIsNone(study.arms[0].published)

    def test_which_flags_win(self):
        self.assertEqual("linear", self.config(ARM).model.model)
        self.assertEqual("mlp", self.config(ARM, "--all_arms=--model=mlp").model.model)
        self.assertEqual(
            "resnet8", self.config(ARM + " --model=resnet8", "--all_arms=--model=mlp").model.model
        )
        several = self.config(ARM, "--all_arms=--model=mlp --epochs=3", "--all_arms=--epochs=7")
        self.assertEqual(("mlp", 7), (several.model.model, several.runtime.epochs))

    def test_a_rows_flagfile_is_looked_for_beside_the_studys(self):
        in_folder(self.folder / "rows", "c.flags")
        (self.folder / "study.flags").write_text("--arm='c rows/c.flags --epochs=2'  # a comment\n" + OUTPUT)
        study = self.parse("--flagfile={folder}/study.flags")
        self.assertEqual(("c", 2), (study.arms[0].name, study.arms[0].config.runtime.epochs))
        (self.folder / "study.flags").write_text(
            "--arm 'c rows/c.flags'\n--all_arms='--flagfile=rows/d.flags'\n" + OUTPUT
        )
        (self.folder / "rows" / "d.flags").write_text("--epochs=2")
        self.assertEqual(study, self.parse("--flagfile={folder}/study.flags"))
        self.enterContext(contextlib.chdir(self.folder))
        self.assertEqual(study, self.parse("--arm=c rows/c.flags --epochs=2", OUTPUT))

    def test_without_a_flagfile(self):
        self.assertEqual(Config(), self.config("--arm=a"))
        self.assertEqual(Config().replacing(epochs=3), self.config("--arm=a --epochs=3"))

    def test_older_spellings(self):
        older = self.parse(
            "--row=b", ARM, "--row", "c", "--all_rows=--epochs=7", "--all_arms=--momentum=0", OUTPUT
        )
        newer = self.parse("--arm=b", ARM, "--arm=c", "--all_arms=--epochs=7 --momentum=0", OUTPUT)
        self.assertEqual(["b", "a", "c"], [arm.name for arm in older.arms])
        self.assertEqual(newer, older)
        self.assertNotIn("\n  --row", help_text())

    def test_sweeps(self):
        arms = self.parse(
            "--arm=a",
            "--arm=b",
            "--sweep=learning_rate=0.10,0.2",
            "--sweep=b: learning_rate=1,2",
            "--sweep=b:clip_norm=none,.25",
            OUTPUT,
        ).arms
        self.assertEqual([(Axis(setting="learning_rate", values=("0.1", "0.2")),), (
            Axis(setting="learning_rate", values=("1", "2")), Axis(setting="clip_norm", values=("none", "0.25")))],
            [arm.sweep for arm in arms])  # fmt: skip

    def test_the_home_folder(self):
        with mock.patch.dict(os.environ, HOME=str(self.folder)):
            parsed = definition.parse(["study", ARM.format(folder=self.folder), "--output_dir=~/studies"])
        assert parsed is not None
        self.assertEqual(str(self.folder / "studies"), parsed[0].output_dir)

    def test_help(self):
        self.assertIsNone(definition.parse(["study", "--help"]))
        for name in (
            "--arm=",
            "--all_arms=",
            "--seeds=",
            "--published=",
            "--compare=",
            "--jobs=",
            "--dry_run=",
        ):
            self.assertIn(name, help_text())

    def test_refused(self):
        b = "--arm=b {folder}/b.flags"
        for arguments, said in (
            ((), "a study needs arms"),
            ((ARM, "--output_dir="), "a study needs a folder"),
            ((ARM, "--arm=a {folder}/b.flags", OUTPUT), "there are two arms 'a'"),
            ((ARM, "--arm=A {folder}/b.flags", OUTPUT), "there are two arms 'A'"),
            (("--arm=", OUTPUT), "the name is '', but a name is one word"),
            (("--arm=../a {folder}/a.flags", OUTPUT), "the name is '../a', but a name is one word"),
            (
                ("--arm='full batch' {folder}/a.flags", OUTPUT),
                "the name is 'full batch', but .*: full_batch, say",
            ),
            (
                ("--arm=full batch {folder}/a.flags", OUTPUT),
                "'full', is the name, so 'batch' and '.*' are two flagfiles",
            ),
            (("--arm=full batch --epochs=3", OUTPUT), "no such file.. The first word of --arm is the name"),
            (("--arm=a {folder}/none.flags", OUTPUT), "arm 'a': --flagfile=.*none.flags: cannot read it"),
            ((ARM + " --epochs=0", OUTPUT), "arm 'a': --epochs=0: must be at least 1"),
            ((ARM + " --epohcs=1", OUTPUT), "arm 'a': Unknown command line flag 'epohcs'"),
            ((ARM + " extra", OUTPUT), "'a.flags' and 'extra' are two flagfiles"),
            ((ARM + " --epochs=3 extra", OUTPUT), "arm 'a': unexpected argument 'extra'"),
            ((ARM + " --help", OUTPUT), "arm 'a': --help is no setting"),
            ((ARM + " --mode=evaluate", OUTPUT), "arm 'a': --mode is given by the study"),
            ((ARM + " --hparams=seed", OUTPUT), "arm 'a': --hparams is given by the study"),
            (("--arm=report {folder}/a.flags", OUTPUT), "report is the study's own"),
            (("--arm=Study.json {folder}/a.flags", OUTPUT), "Study.json is the study's own"),
            (("--arm=a ~nobody-of-that-name/x.flags", OUTPUT), "Give the path of a flagfile"),
            ((ARM + " --seed=3", OUTPUT), "arm 'a': --seed is given by the study"),
            ((ARM + " --output_dir=x", OUTPUT), "arm 'a': --output_dir is given by the study"),
            ((ARM + " --dry_run", OUTPUT), "arm 'a': --dry_run is given by the study"),
            ((ARM + " 'open", OUTPUT), "No closing quotation"),
            ((ARM, "--all_arms=--train_size=0", OUTPUT), "arm 'a': --train_size=0"),
            ((ARM, "--seeds=", OUTPUT), "--seeds= is empty"),
            ((ARM, "--seeds=1,1", OUTPUT), "a value comes twice"),
            ((ARM, "--seeds=x", OUTPUT), "expected a whole number"),
            ((ARM, "--jobs=0", OUTPUT), "must be at least 1"),
            ((ARM, "--published=a high somewhere", OUTPUT), "expected 'NAME PERCENT"),
            ((ARM, "--published=a 101 somewhere", OUTPUT), "expected 'NAME PERCENT"),
            ((ARM, "--published=a 95", OUTPUT), "say where the figure stands"),
            ((ARM, "--published=c 95 somewhere", OUTPUT), "there is no arm 'c'; the arms are a"),
            ((ARM, "--published=a 95 x", "--published=a 96 y", OUTPUT), "has a published figure already"),
            ((ARM, b, "--compare=a", OUTPUT), "expected the names of two arms"),
            ((ARM, b, "--compare=a a", OUTPUT), "expected the names of two arms"),
            ((ARM, b, "--compare=a c", OUTPUT), "--compare: there is no arm 'c'; the arms are a, b"),
            ((ARM, b, "--waterfall=a,c", OUTPUT), "--waterfall: there is no arm 'c'"),
            ((ARM, b, "--waterfall=a,a", OUTPUT), "a value comes twice"),
            ((ARM, b, "--waterfall=a", OUTPUT), "give at least two arms"),
            ((ARM, b, "--compare=a b", "--compare=a b", OUTPUT), "a value comes twice"),
            (
                (ARM, "--sweep=learning_rate=0.1,0.2", "--sweep_seed=1", OUTPUT),
                "--sweep_seed=1 is one of --seeds",
            ),
            ((ARM, "--sweep_seed=7", OUTPUT), "--sweep_seed=7 has no effect without --sweep"),
            ((ARM, "--choose_by=validation_loss", OUTPUT), "has no effect without --sweep"),
            (
                (ARM, "--choose_by=test_accuracy", OUTPUT),
                "test data choose nothing; accepted are validation_acc",
            ),
            (
                (ARM, "--choose_by=loss", OUTPUT),
                "only validation samples choose; accepted are validation_acc",
            ),
            ((ARM, "surplus", OUTPUT), "unexpected argument 'surplus'"),
            (
                (ARM, "--learning_rate=1", OUTPUT),
                "--learning_rate is no flag of this command: .*give it in --arm",
            ),
            ((ARM, f"--{'x' * 40}=1", OUTPUT), f"Unknown command line flag '{'x' * 40}'"),
        ):
            with self.subTest(arguments=arguments):
                with self.assertRaisesRegex(UserError, said) as caught:
                    self.parse(*arguments)
                self.assertNotIn("\n", str(caught.exception))
        self.assertFalse(os.path.exists("out"))  # noqa: PTH110


if __name__ == "__main__":
    unittest.main()
