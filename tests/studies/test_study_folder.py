"""Whose a study's folder is: what may be added, and what is refused."""

import shutil
import tempfile
import unittest
from pathlib import Path

from tests.studies.studies import TINY, study, swept, write_finished, write_records
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import Arm, Study, write_study
from tf_fullbatch.run.own_files import file_hashes
from tf_fullbatch.studies.planned_runs import runs_of
from tf_fullbatch.studies.study_folder import check_study_folder
from tf_fullbatch.studies.trials import trials_of


class FolderTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "study"
        self.folder.mkdir()

    def accepted(self, other: Study) -> None:
        check_study_folder(self.folder, other)

    def test_new_and_empty(self):
        check_study_folder(self.folder / "new", study("a"))
        self.accepted(study("a"))

    def test_rows_and_seeds_may_be_added(self):
        write_study(self.folder, study("a", "b"))
        (self.folder / "a").mkdir()
        self.accepted(study("a", "b", "c", seeds=(0, 1, 2)))
        self.accepted(study("a"))  # b was not begun
        self.accepted(study("a", "b", evaluate_every=3))

    def test_nothing_is_taken_away(self):
        write_study(self.folder, study("a", "b", seeds=(0, 1)))
        (self.folder / "a" / "seed-1").mkdir(parents=True)
        self.accepted(study("a", "b", seeds=(1,)))  # seed 0 was not begun
        with self.assertRaisesRegex(UserError, r"--seeds=0: \S+seed-1 is there, of another seed"):
            self.accepted(study("a", "b", seeds=(0,)))
        write_records(runs_of(study("a", seeds=(1,)), self.folder)[0], epochs=4)
        self.accepted(study("a", "b", epochs=4, schedule_epochs=4))
        with self.assertRaisesRegex(UserError, "arm 'a': --epochs=3, but the run in .* has 4 passes already"):
            self.accepted(study("a", "b", epochs=3, schedule_epochs=4))

    def test_refused(self):
        write_study(self.folder, study("a", "b"))
        (self.folder / "a").mkdir()
        other = TINY.replacing(learning_rate=0.1, weight_decay=0.0)
        for given, said in (
            (study("c"), "holds another study: its arm 'a' is not in this one"),
            (Study(title="", arms=(Arm(name="a", config=other),), seeds=(0,)),
             r"its arm 'a' has other settings \(--weight_decay: 0.0005 there, 0.0 now\)"),
        ):  # fmt: skip
            with self.subTest(said), self.assertRaisesRegex(UserError, said):
                check_study_folder(self.folder, given)

    def test_of_something_else(self):
        (self.folder / "jobs").mkdir()  # of an executor that is made before the study
        self.accepted(study("a"))
        (self.folder / "notes.txt").write_text("mine")
        with self.assertRaisesRegex(UserError, "holds files but no study"):
            self.accepted(study("a"))
        with self.assertRaisesRegex(UserError, "it is a file"):
            check_study_folder(self.folder / "notes.txt", study("a"))

    def test_trials_may_be_added_and_none_left_out(self):
        begun = swept("a", learning_rate=("0.1", "0.2"))
        write_study(self.folder, begun)
        self.accepted(swept("a", learning_rate=("0.4", "0.5")))  # no trial was begun
        for trial in trials_of(begun, self.folder):
            write_finished(trial)
        self.accepted(swept("a", learning_rate=("0.1", "0.2", "0.4")))
        self.accepted(study("a"))  # without a sweep, before its runs
        for other in (
            swept("a", learning_rate=("0.1", "0.4")),
            swept("a", sweep_seed=7, learning_rate=("0.1", "0.2")),
        ):
            with self.assertRaisesRegex(
                UserError, r"a trial that this --sweep and --sweep_seed leave out. Name all"
            ):
                self.accepted(other)
        with self.assertRaisesRegex(UserError, "arm 'a' has other settings .--momentum: 0.9 there, 0.5 now"):
            self.accepted(swept("a", learning_rate=("0.1", "0.2"), momentum=0.5))
        with self.assertRaisesRegex(UserError, "its arm 'a' is not in this one"):
            self.accepted(study("b"))

    def test_runs_and_trials_of_another_version_of_a_file(self):
        code = self.folder.parent / "mine.py"
        code.write_text("def net(input_shape, num_classes): ...")
        own = swept("a", "b", learning_rate=("0.1", "0.2"), model=f"{code}:net")
        write_study(self.folder, own)
        for run in (runs_of(own, self.folder)[0], trials_of(own, self.folder)[-1]):
            with self.subTest(str(run)):
                code.write_text("def net(input_shape, num_classes): ...")
                run.folder.create().write_config(run.config, file_hashes(run.config))
                self.accepted(own)
                code.write_text("def net(input_shape, num_classes): return 1")
                with self.assertRaisesRegex(
                    UserError, f"mine.py:net: .*SHA-256 .* Restore it, .* than .*{run.folder.path.name}"
                ):
                    self.accepted(own)
                shutil.rmtree(run.folder.path)
        self.accepted(own)

    def test_a_chosen_value_is_no_other_setting(self):
        chosen = TINY.replacing(validation_size=100, learning_rate=0.2)
        write_study(self.folder, Study(title="", arms=(Arm(name="a", config=chosen),), seeds=(0,)))
        (self.folder / "a").mkdir()
        self.accepted(swept("a", learning_rate=("0.1", "0.2")))
        self.accepted(Study(title="", arms=(Arm(name="a", config=chosen),), seeds=(0,)))
        with self.assertRaisesRegex(UserError, "--learning_rate: 0.2 there, 0.1 now"):
            self.accepted(study("a"))


if __name__ == "__main__":
    unittest.main()
