"""Which runs make an arm, what arms are called, and what folders are refused."""

import tempfile
import unittest
from pathlib import Path

from tests.report.made_runs import BASE, CLIPPED, SGD, finished_study, small_study, write_run
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_text
from tf_fullbatch.records.study_file import Arm, Study, folder_of, write_study
from tf_fullbatch.report.loading import load
from tf_fullbatch.report.quantities import ACCURACY
from tf_fullbatch.report.tables import settings_of_arms, shared_settings

OWN = BASE.replacing(model="/somewhere/mine.py:net")


class LoadTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_study(self):
        study = finished_study(self.folder / "study")
        found = load([self.folder / "study"])
        self.assertEqual([arm.name for arm in found.arms], ["sgd", "fb", "clipped"])
        self.assertEqual((found.title, found.missing()), ("A study", []))
        self.assertEqual((found.pairs, found.waterfalls), (study.compare, (study.waterfall,)))
        for (seed, value), expected in zip(
            found.arm("sgd").finals(ACCURACY, "test").items(), (95, 96, 94), strict=True
        ):
            self.assertAlmostEqual(value, expected, msg=seed)
        self.assertEqual(found.arm("sgd").published.accuracy, 95.7)

    def test_a_study_not_yet_begun(self):
        small_study(self.folder)
        found = load([self.folder])
        names = ("sgd", "fb", "clipped")
        self.assertEqual(found.missing(), [f"{name}, seeds 0, 1, 2: not started" for name in names])
        self.assertEqual(found.arms[0].finals(ACCURACY, "test"), {})

    def test_the_title_is_of_all_that_is_shown(self):
        small_study(self.folder / "one")
        self.assertEqual(load([self.folder]).title, "A study")
        write_study(self.folder / "one", Study(title="B", arms=(Arm(name="a", config=BASE),), seeds=(0,)))
        small_study(self.folder / "two")
        self.assertEqual(load([self.folder]).title, "B; A study")
        write_run(self.folder / "run", BASE, 0.9)
        self.assertEqual(load([self.folder]).title, "Comparison of runs")

    def test_runs_that_differ_by_seed_make_a_row(self):
        for seed in (1, 0):
            write_run(self.folder / f"plain/seed-{seed}", BASE.replacing(seed=seed), 0.9)
            write_run(self.folder / "deep" / f"clip-seed{seed}", CLIPPED.replacing(seed=seed), 0.9)
        write_run(self.folder / "sgd", SGD, 0.9)
        found = load([self.folder])
        self.assertEqual([arm.name for arm in found.arms], ["deep/clip", "plain", "sgd"])
        self.assertEqual([[run.seed for run in arm.runs] for arm in found.arms], [[0, 1], [0, 1], [0]])
        self.assertEqual(found.pairs, (("plain", "deep/clip"), ("sgd", "deep/clip")))
        self.assertEqual(found.title, "Comparison of runs")

    def test_runs_of_other_objects_or_code_are_other_arms(self):
        own = BASE.replacing(model="python:model")
        for k, digest in enumerate(("1" * 64, "2" * 64)):
            for seed in (0, 1):
                folder = self.folder / f"{'ab'[k]}/seed-{seed}"
                settings = own.replacing(seed=seed)
                write_run(folder, settings, 0.9, file_hashes={"model": digest, "dataset": "3" * 64})
        write_run(self.folder / "flat-seed2", own.replacing(seed=2), 0.9, file_hashes={"model": "1" * 64})
        found = load([self.folder])
        self.assertEqual([len(arm.runs) for arm in found.arms], [2, 2, 1])
        shown = [one["model (SHA-256)"] for one in settings_of_arms(found)]
        self.assertEqual(shown, ["11111111", "22222222", "11111111"])
        self.assertIn("--model=python:model (in several versions", shared_settings(found))

    def test_a_run_of_a_study_with_another_version_of_a_file_is_left_out(self):
        write_study(self.folder, Study(title="", arms=(Arm(name="a", config=OWN),), seeds=(0, 1, 2)))
        for seed, digest in enumerate("121"):
            run = folder_of(self.folder, "a", seed)
            write_run(run, OWN.replacing(seed=seed), 0.9, file_hashes={"model": digest * 64})
        found = load([self.folder])
        self.assertEqual(list(found.arm("a").finals(ACCURACY, "test")), [0, 2])
        self.assertEqual(
            found.missing(), ["a, seed 1: uses another version of mine.py:net than the other runs of its arm"]
        )

    def test_other_lengths_and_repeats_are_other_rows(self):
        write_run(self.folder / "a", BASE.replacing(schedule_epochs=4.0), 0.9)
        write_run(self.folder / "again", BASE.replacing(schedule_epochs=4.0), 0.9)
        write_run(self.folder / "longer", BASE.replacing(schedule_epochs=4.0, epochs=5), 0.9)
        self.assertEqual([arm.name for arm in load([self.folder]).arms], ["a", "again", "longer"])

    def test_a_run_given_by_its_own_folder(self):
        write_run(self.folder / "good/seed-3", BASE.replacing(seed=3), 0.9)
        write_run(self.folder / "other", SGD, 0.9)
        found = load([self.folder / "good/seed-3", self.folder / "other", self.folder / "good"])
        self.assertEqual([arm.name for arm in found.arms], ["good", "other"])

    def test_runs_of_one_folder_belong_together_first(self):
        for folder, seed, accuracy in (("z", 0, 0.90), ("z", 1, 0.91), ("patched", 1, 0.71)):
            write_run(self.folder / folder / f"seed-{seed}", BASE.replacing(seed=seed), accuracy)
        arms = {arm.name: arm.finals(ACCURACY, "test") for arm in load([self.folder]).arms}
        self.assertEqual({name: sorted(found) for name, found in arms.items()}, {"z": [0, 1], "patched": [1]})
        self.assertAlmostEqual(arms["z"][1], 91)

    def test_a_run_of_a_study_is_not_shown_twice(self):
        finished_study(self.folder, seeds=(0,))
        found = load([self.folder / "sgd" / "seed-0", self.folder])
        self.assertEqual([arm.name for arm in found.arms], ["sgd", "fb", "clipped"])

    def test_links_are_followed_once(self):
        write_run(self.folder / "real" / "a", BASE, 0.9)
        (self.folder / "links").mkdir()
        (self.folder / "links" / "a").symlink_to(self.folder / "real" / "a")
        (self.folder / "links" / "back").symlink_to(self.folder / "links")
        self.assertEqual([arm.name for arm in load([self.folder / "links"]).arms], ["a"])
        self.assertEqual(len(load([self.folder]).runs), 1)

    def test_a_run_without_its_settings_is_named(self):
        write_run(self.folder / "good", BASE, 0.9)
        write_run(self.folder / "bad", BASE, 0.9).config.unlink()
        (line,) = load([self.folder]).missing()
        self.assertIn("config.json is missing", line)

    def test_names_are_made_unique(self):
        finished_study(self.folder / "one", seeds=(0,))
        finished_study(self.folder / "two", seeds=(0,))
        finished_study(self.folder / "deep/two", seeds=(0,))
        found = load([self.folder / "one", self.folder / "two", self.folder / "deep"])
        names = [arm.name for arm in found.arms]
        self.assertEqual(names[::3], ["one/sgd", "two/sgd", "two/sgd (2)"])
        self.assertEqual(len(set(names)), 9)
        self.assertIn(("two/clipped (2)", "two/fb (2)"), found.pairs)
        self.assertEqual(found.waterfalls[1], ("two/fb", "two/clipped"))

    def test_validation_where_there_is_no_test_split(self):
        write_run(self.folder / "a", BASE, None, validation=0.7)
        arm = load([self.folder]).arms[0]
        self.assertEqual(arm.split, "validation")
        self.assertAlmostEqual(arm.finals(ACCURACY, "validation")[0], 70)

    def test_what_is_not_completed_is_never_averaged(self):
        write_run(self.folder / "a/seed-0", BASE, 0.9)
        write_run(self.folder / "a/seed-1", BASE.replacing(seed=1), 0.1, passes=2, outcome="NON_FINITE")
        self.assertEqual(list(load([self.folder]).arms[0].finals(ACCURACY, "test")), [0])

    def test_damaged_runs_and_studies_are_named_and_the_others_shown(self):
        write_run(self.folder / "good", BASE, 0.9)
        bad = write_run(self.folder / "bad", SGD, 0.9)
        write_text(bad.config, "{")
        (self.folder / "study").mkdir()
        write_text(self.folder / "study/study.json", '{"format_version": 99}')
        found = load([self.folder])
        self.assertEqual([arm.name for arm in found.arms], ["good"])
        self.assertEqual(len(found.missing()), 2)
        self.assertIn("format version 99", found.missing()[0])
        self.assertIn("config.json is damaged", found.missing()[1])

    def test_a_comparison_with_a_row_that_is_none(self):
        small_study(self.folder, compare=(("clipped", "nothing"),))
        with self.assertRaisesRegex(UserError, "it compares nothing, which"):
            load([self.folder])

    def test_refused_folders(self):
        (self.folder / "empty").mkdir()
        write_text(self.folder / "file", "")
        bad = write_run(self.folder / "bad", BASE, 0.9)
        write_text(bad.metrics, "step\n")
        write_run(self.folder / "good", BASE, 0.9)
        for name, reason in (
            ("empty", "no run and no study there"),
            ("file", "it is a file; give the folder"),
            ("absent", "no such folder; give the folder"),
            ("bad", "nothing to report: .*damaged or of another version"),
        ):
            with self.subTest(name), self.assertRaisesRegex(UserError, reason):
                load([self.folder / name])
        with self.assertRaisesRegex(UserError, "absent: no such folder"):
            load([self.folder / "good", self.folder / "absent"])
