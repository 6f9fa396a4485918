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
from tf_fullbatch.records.study_file import Published, Study
from tf_fullbatch.studies import definition

ROW = "--row=a {folder}/a.flags"
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
            ROW,
            "--row=b {folder}/b.flags --learning_rate=0.3 '--data_dir=a b'",
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
        study = self.parse(ROW, "--output_dir=x/ladder")
        self.assertEqual(
            ((0, 1, 2), (), (), "ladder"), (study.seeds, study.compare, study.waterfall, study.title)
        )
        self.assertIsNone(study.arms[0].published)

    def test_which_flags_win(self):
        self.assertEqual("linear", self.config(ROW).model.model)
        self.assertEqual("mlp", self.config(ROW, "--all_rows=--model=mlp").model.model)
        self.assertEqual(
            "resnet8", self.config(ROW + " --model=resnet8", "--all_rows=--model=mlp").model.model
        )
        several = self.config(ROW, "--all_rows=--model=mlp --epochs=3", "--all_rows=--epochs=7")
        self.assertEqual(("mlp", 7), (several.model.model, several.runtime.epochs))

    def test_a_rows_flagfile_is_looked_for_beside_the_studys(self):
        in_folder(self.folder / "rows", "c.flags")
        (self.folder / "study.flags").write_text("--row='c rows/c.flags --epochs=2'  # a comment\n" + OUTPUT)
        study = self.parse("--flagfile={folder}/study.flags")
        self.assertEqual(("c", 2), (study.arms[0].name, study.arms[0].config.runtime.epochs))
        (self.folder / "study.flags").write_text(
            "--row 'c rows/c.flags'\n--all_rows='--flagfile=rows/d.flags'\n" + OUTPUT
        )
        (self.folder / "rows" / "d.flags").write_text("--epochs=2")
        self.assertEqual(study, self.parse("--flagfile={folder}/study.flags"))
        self.enterContext(contextlib.chdir(self.folder))
        self.assertEqual(study, self.parse("--row=c rows/c.flags --epochs=2", OUTPUT))

    def test_the_home_folder(self):
        with mock.patch.dict(os.environ, HOME=str(self.folder)):
            parsed = definition.parse(["study", ROW.format(folder=self.folder), "--output_dir=~/studies"])
        assert parsed is not None
        self.assertEqual(str(self.folder / "studies"), parsed[0].output_dir)

    def test_help(self):
        self.assertIsNone(definition.parse(["study", "--help"]))
        for name in (
            "--row=",
            "--all_rows=",
            "--seeds=",
            "--published=",
            "--compare=",
            "--jobs=",
            "--dry_run=",
        ):
            self.assertIn(name, definition.help_text())

    def test_refused(self):
        b = "--row=b {folder}/b.flags"
        for arguments, said in (
            ((), "a study needs arms"),
            ((ROW, "--output_dir="), "a study needs a folder"),
            ((ROW, "--row=a {folder}/b.flags", OUTPUT), "there are two arms 'a'"),
            ((ROW, "--row=A {folder}/b.flags", OUTPUT), "there are two arms 'A'"),
            (("--row=a", OUTPUT), "after the name, give the flagfile"),
            (("--row=", OUTPUT), "begin with a name"),
            (("--row=../a {folder}/a.flags", OUTPUT), "begin with a name"),
            (("--row=a --epochs=3", OUTPUT), "after the name, give the flagfile"),
            (("--row=a {folder}/none.flags", OUTPUT), "arm 'a': --flagfile=.*none.flags: cannot read it"),
            ((ROW + " --epochs=0", OUTPUT), "arm 'a': --epochs=0: must be at least 1"),
            ((ROW + " --epohcs=1", OUTPUT), "arm 'a': Unknown command line flag 'epohcs'"),
            ((ROW + " extra", OUTPUT), "arm 'a': unexpected argument 'extra'"),
            ((ROW + " --help", OUTPUT), "arm 'a': --help is no setting"),
            ((ROW + " --mode=evaluate", OUTPUT), "arm 'a': --mode is given by the study"),
            ((ROW + " --hparams=seed", OUTPUT), "arm 'a': --hparams is given by the study"),
            (("--row=report {folder}/a.flags", OUTPUT), "report is the study's own"),
            (("--row=Study.json {folder}/a.flags", OUTPUT), "Study.json is the study's own"),
            (("--row=a ~nobody-of-that-name/x.flags", OUTPUT), "Give the path of a flagfile"),
            ((ROW + " --seed=3", OUTPUT), "arm 'a': --seed is given by the study"),
            ((ROW + " --output_dir=x", OUTPUT), "arm 'a': --output_dir is given by the study"),
            ((ROW + " --dry_run", OUTPUT), "arm 'a': --dry_run is given by the study"),
            ((ROW + " 'open", OUTPUT), "No closing quotation"),
            ((ROW, "--all_rows=--train_size=0", OUTPUT), "arm 'a': --train_size=0"),
            ((ROW, "--seeds=", OUTPUT), "--seeds= is empty"),
            ((ROW, "--seeds=1,1", OUTPUT), "a value comes twice"),
            ((ROW, "--seeds=x", OUTPUT), "expected a whole number"),
            ((ROW, "--jobs=0", OUTPUT), "must be at least 1"),
            ((ROW, "--published=a high somewhere", OUTPUT), "expected 'NAME PERCENT"),
            ((ROW, "--published=a 101 somewhere", OUTPUT), "expected 'NAME PERCENT"),
            ((ROW, "--published=a 95", OUTPUT), "say where the figure stands"),
            ((ROW, "--published=c 95 somewhere", OUTPUT), "there is no arm 'c'; the arms are a"),
            ((ROW, "--published=a 95 x", "--published=a 96 y", OUTPUT), "has a published figure already"),
            ((ROW, b, "--compare=a", OUTPUT), "expected the names of two arms"),
            ((ROW, b, "--compare=a a", OUTPUT), "expected the names of two arms"),
            ((ROW, b, "--compare=a c", OUTPUT), "--compare: there is no arm 'c'; the arms are a, b"),
            ((ROW, b, "--waterfall=a,c", OUTPUT), "--waterfall: there is no arm 'c'"),
            ((ROW, b, "--waterfall=a,a", OUTPUT), "a value comes twice"),
            ((ROW, b, "--waterfall=a", OUTPUT), "give at least two arms"),
            ((ROW, b, "--compare=a b", "--compare=a b", OUTPUT), "a value comes twice"),
            ((ROW, "surplus", OUTPUT), "unexpected argument 'surplus'"),
            (
                (ROW, "--learning_rate=1", OUTPUT),
                "--learning_rate is no flag of this command: .*give it in --row",
            ),
            ((ROW, f"--{'x' * 40}=1", OUTPUT), f"Unknown command line flag '{'x' * 40}'"),
        ):
            with self.subTest(arguments=arguments):
                with self.assertRaisesRegex(UserError, said) as caught:
                    self.parse(*arguments)
                self.assertNotIn("\n", str(caught.exception))
        self.assertFalse(os.path.exists("out"))  # noqa: PTH110


if __name__ == "__main__":
    unittest.main()
