"""Grids of sweeps: what is tried, in which order, and what is refused before anything runs."""

import unittest

from tests.studies.studies import study, swept
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.study_file import Axis
from tf_fullbatch.studies.sweeps import point_text, points_of, remark_on_edges, swept_arms

ARMS = study("a", "b").arms


class GridTest(unittest.TestCase):
    def test_every_combination_in_order(self):
        (arm,) = swept("a", learning_rate=("0.1", "0.2"), clip_norm=("none", "1")).arms
        points = points_of(arm)
        self.assertEqual(
            ["learning_rate=0.1, clip_norm=none", "learning_rate=0.1, clip_norm=1",
             "learning_rate=0.2, clip_norm=none", "learning_rate=0.2, clip_norm=1"],
            [point_text(point) for point, _ in points],
        )  # fmt: skip
        self.assertEqual(
            [(0.1, None), (0.1, 1.0), (0.2, None), (0.2, 1.0)],
            [(config.optimizer.learning_rate, config.step.clip_norm) for _, config in points],
        )
        self.assertEqual({64}, {config.data.train_size for _, config in points})
        self.assertEqual([], points_of(ARMS[0]))

    def test_a_value_of_the_arm_itself_is_tried_like_the_others(self):
        (arm, _) = swept_arms(["a: learning_rate=0.1,0.2"], ARMS)
        self.assertEqual(0.1, arm.config.optimizer.learning_rate)
        self.assertEqual(2, len(points_of(arm)))

    def test_values_with_commas(self):
        (arm,) = swept_arms(
            ['model_options="alpha=1,dropout=0", "alpha=0.5,dropout=0"'],
            study("a", model="keras:MobileNetV2").arms,
        )
        self.assertEqual(
            (Axis(setting="model_options", values=("alpha=1,dropout=0", "alpha=0.5,dropout=0")),), arm.sweep
        )

    def test_passes_may_be_swept(self):
        (arm,) = swept_arms(["epochs=2,8"], study("a").arms)
        self.assertEqual([2, 8], [config.runtime.epochs for _, config in points_of(arm)])

    def test_losses_may_be_swept_where_accuracy_chooses(self):
        texts = ["loss=cross_entropy,keras:CategoricalFocalCrossentropy"]
        (arm,) = swept_arms(texts, study("a").arms, "validation_accuracy")
        self.assertEqual(("loss",), arm.swept)

    def test_refused(self):
        for texts, said in (
            (["learning_rate"], "expected '.ARM:. NAME=VALUE,VALUE"),
            (["learning_rate="], "give at least two values"),
            (["learning_rate=0.1"], "give at least two values.* a single one belongs in --arm"),
            (["learning_rate=0.1,,0.2"], "give at least two values"),
            (["learning_rate=0.1,0.10"], "a value comes twice"),
            (["learning_rate=0.1,x"], "arm 'a', trial learning_rate=x: .*expected a number"),
            (["learning_rate=0.1,-1"], "arm 'a', trial learning_rate=-1: .*must be above 0"),
            (["learning_rat=0.1,1"], "no setting 'learning_rat'; 'learning_rate' is one"),
            (["c: learning_rate=0.1,1"], "there is no arm 'c'; the arms are a, b"),
            (["learning_rate=0.1,1", "learning_rate=2,3"], "is swept already"),
            (["seed=1,2"], "seed is not for a sweep: trials share --sweep_seed"),
            (["output_dir=x,y"], "output_dir is not for a sweep: it changes no result"),
            (["validation_size=100,200"], "judged by the same validation samples"),
            (["dataset_options=size=1,size=2"], "dataset_options is not for a sweep: .*same validation samples"),
            (["extend_epochs=1,2"], "extend_epochs is not for a sweep: it is for passes after a run's own"),
            (["loss=keras:Huber,keras:LogCosh"], "different losses do not compare; give --choose_by=validation_acc"),
            (["ema_decay=0.9,0.99"], "judged by their weights as trained"),
            (['model="linear,mlp'], "unexpected end of data. Separate values by commas"),
            (["epochs=5,10", "schedule_epochs=5,none"], "the trials epochs=5, schedule_epochs=5 and epochs=5, "
             "schedule_epochs=none are one run"),
            (["micro_batch_size=32,129"], "arm 'a', trial micro_batch_size=129: .* larger than the training set"),
            ([f"learning_rate={','.join(map(str, range(1, 41)))}",
              f"momentum={','.join(f'0.{k}' for k in range(11, 41))}"],
             "its sweeps make 1,200 trials; at most 1,000"),
        ):  # fmt: skip
            with self.subTest(texts), self.assertRaisesRegex(UserError, said) as caught:
                swept_arms(texts, ARMS)
            self.assertNotIn("\n", str(caught.exception))


class EdgeTest(unittest.TestCase):
    def remarks(self, value: str, **grid: tuple[str, ...]) -> list[str]:
        (arm,) = swept("a", **grid).arms
        return remark_on_edges(arm, ((arm.swept[0], value),))

    def test_said_of_the_ends(self):
        (line,) = self.remarks("0.4", learning_rate=("0.1", "0.4", "0.2"))
        self.assertIn("learning_rate=0.4 is the largest tried", line)
        (line,) = self.remarks("0.1", learning_rate=("0.1", "0.4", "0.2"))
        self.assertIn("learning_rate=0.1 is the smallest tried", line)

    def test_not_said_within_nor_where_nothing_lies_beyond(self):
        self.assertEqual([], self.remarks("0.2", learning_rate=("0.1", "0.4", "0.2")))
        self.assertEqual([], self.remarks("0", momentum=("0", "0.9")))  # its smallest possible
        self.assertEqual([], self.remarks("mlp", model=("linear", "mlp")))
        self.assertEqual([], self.remarks("1", clip_norm=("none", "1")))


if __name__ == "__main__":
    unittest.main()
