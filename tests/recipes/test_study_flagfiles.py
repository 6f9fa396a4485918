"""The studies that are shipped: they parse, hold the published figures, cost what they say, and scale arms alike."""

import re
import unittest
from pathlib import Path

from tests.recipes.test_flagfiles import TABLE
from tf_fullbatch.config.run import Config
from tf_fullbatch.records.study_file import Study
from tf_fullbatch.studies import definition

STUDIES = Path(__file__).resolve().parents[2] / "flags" / "studies"
INCLUDED = ("ladder", "penalty_operators_rows", "cifar10_small")  # by others
NAMES = sorted(path.stem for path in STUDIES.glob("*.flags") if path.stem not in INCLUDED)
LADDERS = [name for name in NAMES if "ladder" in name]

# Geiping et al. 2022, the table of CIFAR-10 results, quoted from memory: percent and spread.
PUBLISHED = {
    "sgd": (95.70, 0.11),
    "fb_baseline": (75.42, 0.13),
    "fb_train_longer": (87.36, 1.23),
    "fb_clipped": (93.85, 0.10),
    "fb_regularized": (95.36, 0.07),
    "fb_strong_reg": (95.67, 0.08),
    "fb_in_practice": (95.91, 0.14),
}
TRAINING_SAMPLES = {"cifar10": 50_000, "digits": 1_347}


def study(name: str) -> Study:
    """A study that is shipped."""
    parsed = definition.parse(["study", f"--flagfile={STUDIES / name}.flags"])
    assert parsed is not None
    return parsed[1]


def gradient_evaluations(config: Config) -> int:
    """Of a run, in all."""
    samples = config.data.train_size or TRAINING_SAMPLES[config.data.dataset]
    return config.runtime.epochs * samples * config.step.gradient_evaluations


class StudyFlagfilesTest(unittest.TestCase):
    def test_all_parse_and_name_their_folder(self):
        self.assertGreater(len(NAMES), 7)
        for name in NAMES:
            with self.subTest(name):
                options, parsed = (
                    definition.parse(["study", f"--flagfile={STUDIES / name}.flags"]) or self.fail()
                )
                self.assertEqual(f"runs/studies/{name}", options.output_dir)
                self.assertTrue(options.title)
                self.assertTrue(parsed.compare)

    def test_all_are_in_the_table_of_studies(self):
        text = (STUDIES.parents[1] / "docs" / "studies.md").read_text(encoding="utf-8")
        table = text.partition("| study in `flags/studies/` |")[2].partition("\n\n")[0]
        listed = set()
        for row in table.splitlines()[2:]:
            first, *others = re.findall(r"`(\w+)`", row.split("|")[1])
            listed |= {first, *(first + name if name.startswith("_") else name for name in others)}
        self.assertEqual(sorted(listed), NAMES)

    def test_costs_are_what_the_headers_say(self):
        factors = {"million": 1e6, "billion": 1e9}
        for name in NAMES:
            text = (STUDIES / f"{name}.flags").read_text()
            with self.subTest(name):
                said = re.search(r"cost: +([\d.]+) (million|billion) gradient evaluations", text)
                assert said is not None
                shipped = study(name)
                cost = len(shipped.seeds) * sum(gradient_evaluations(arm.config) for arm in shipped.arms)
                digits = len(said[1].partition(".")[2])
                self.assertEqual(said[1], f"{cost / factors[said[2]]:.{digits}f}")

    def test_names_of_equal_compute_say_the_gradient_evaluations_a_sample(self):
        for name in NAMES:
            if name.startswith("equal_compute"):
                for arm in study(name).arms:
                    with self.subTest(name=name, arm=arm.name):
                        cost = arm.config.runtime.epochs * arm.config.step.gradient_evaluations
                        self.assertEqual(int(arm.name.rpartition("_")[2]), cost)

    def test_ladders_hold_the_published_rows_and_figures(self):
        self.assertGreater(len(LADDERS), 2)
        for name in LADDERS:
            with self.subTest(name):
                arms = {arm.name: arm for arm in study(name).arms}
                self.assertEqual(list(PUBLISHED), list(arms))
                for arm, (accuracy, spread) in PUBLISHED.items():
                    published = arms[arm].published
                    assert published is not None
                    self.assertEqual((accuracy, spread), (published.accuracy, published.spread))
                    self.assertIn("quoted from memory", published.source)

    def test_ladders_scale_all_rows_alike(self):
        for name in LADDERS:
            arms = {arm.name: arm.config for arm in study(name).arms}
            scale = TABLE["sgd"].epochs / arms["sgd"].runtime.epochs
            micro = TABLE["sgd"].micro_batch / arms["sgd"].step.micro_batch_size
            for arm, published in TABLE.items():
                config = arms[arm]
                with self.subTest(name=name, arm=arm):
                    self.assertEqual(published.epochs, config.runtime.epochs * scale)
                    self.assertAlmostEqual(published.warmup, config.optimizer.warmup_epochs * scale, places=6)
                    self.assertAlmostEqual(
                        published.horizon, config.schedule_epochs * scale, delta=0.01 * published.horizon
                    )
                    self.assertEqual(published.micro_batch, config.step.micro_batch_size * micro)
                    self.assertEqual(published.learning_rate, config.optimizer.learning_rate)
                    self.assertEqual(published.strength, config.step.penalty_strength)
                    self.assertEqual(published.shuffle, config.optimizer.shuffle)
                    self.assertEqual(published.clip, config.step.clip_norm)
                    penalty = "forward_differences" if published.strength else "none"
                    self.assertEqual((penalty, 0.01), (config.step.penalty, config.step.penalty_epsilon))

    def test_subsets_hold_out_validation_samples(self):
        # Whoever scales settings chooses by these and never by test data.
        for name in NAMES:
            for arm in study(name).arms:
                if arm.config.data.train_size is not None:
                    with self.subTest(name=name, arm=arm.name):
                        self.assertGreaterEqual(arm.config.data.validation_size, 500)


if __name__ == "__main__":
    unittest.main()
