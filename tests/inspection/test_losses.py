"""Landscape, path and barrier: losses at weights, resumed, compared, and beside what the runs recorded."""

import csv
import re
from pathlib import Path
from unittest import mock

import numpy as np

from tests.command import evaluations_of, steps_of
from tests.inspection.runs import MLP, AnalysisCase, figure, mlp, normalised, trained, value
from tf_fullbatch import analyze_runs, open_run
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection import work
from tf_fullbatch.run.splits import training_batches

LINE = {"landscape.dimensions": 1, "landscape.points": 5}


def column(file: Path, name: str, **of: str) -> list[float]:
    with file.open() as lines:
        return [float(r[name]) for r in csv.DictReader(lines) if all(r[k] == v for k, v in of.items())]


class LandscapeTest(AnalysisCase):
    def test_the_centre_is_what_the_run_recorded(self):
        for run in (mlp(), normalised()):
            recorded = steps_of(run)[2]["loss"]  # before the third step, at the weights of the second
            found = figure(self.one(run, "landscape", step=2, what_options=LINE), "loss_at_the_weights")
            self.assertAlmostEqual(found.value, recorded, delta=1e-12 * recorded)
            self.assertEqual(found.remark, f"recorded {recorded:.6g}")
            (evaluated,) = (r for r in evaluations_of(run) if (r["step"], r["split"]) == (2, "test"))
            answer = self.one(run, "landscape", step=2, split="test", what_options=LINE)
            found = figure(answer, "loss_at_the_weights")
            self.assertAlmostEqual(found.value, evaluated["loss"], delta=1e-12 * recorded)
            self.assertIn("recorded", found.remark)
        for settings in ({}, {"samples": 30, "step": 2}, {"statistics": "frozen", "step": 2}):
            found = figure(self.one(mlp(), "landscape", what_options=LINE, **settings), "loss_at_the_weights")
            self.assertIn("recorded none", found.remark)

    def test_of_the_moving_average_of_the_weights(self):
        run = trained("averaged", *MLP, "--ema_decay=0.5")
        for weights in ("raw", "ema"):
            (evaluated,) = (
                r
                for r in evaluations_of(run)
                if (r["step"], r["split"], r["weights"]) == (2, "test", weights)
            )
            answer = self.one(run, "landscape", step=2, split="test", weights=weights, what_options=LINE)
            found = figure(answer, "loss_at_the_weights")
            self.assertAlmostEqual(found.value, evaluated["loss"], delta=1e-12)
            self.assertEqual(found.remark, f"recorded {evaluated['loss']:.6g}")
        self.assertEqual(answer.subjects, ("averaged, step 2 (ema weights)",))
        of_training = self.one(run, "landscape", step=2, weights="ema", what_options=LINE)
        self.assertIn("recorded none", figure(of_training, "loss_at_the_weights").remark)
        with self.assertRaisesRegex(UserError, "kept no ema average of its weights"):
            self.one(mlp(), "landscape", weights="ema", what_options=LINE)

    def test_without_the_augmentation(self):
        with_it, without = (
            self.one(normalised(), "landscape", step=2, augmentation=on, what_options=LINE)
            for on in (True, False)
        )
        self.assertNotAlmostEqual(
            value(with_it, "loss_at_the_weights"), value(without, "loss_at_the_weights"), places=4
        )
        self.assertIn("recorded none", figure(without, "loss_at_the_weights").remark)

    def test_statistics_side_by_side(self):
        options = LINE | {"landscape.every_statistics": True}
        answer = self.one(normalised(), "landscape", what_options=options)
        run = open_run(normalised(), own_code=True)
        for statistics in ("batch", "frozen", "recalibrated"):
            batches = training_batches(run.config, run.splits.train)
            objective = run.model.objective(batches, statistics=statistics)
            found = value(answer, "loss_at_the_weights", statistics)
            self.assertAlmostEqual(found, float(objective.loss()), delta=1e-12)
        self.assertTrue((answer.folder / "lines.png").stat().st_size)

    def test_compared_runs_share_their_directions(self):
        options = {"landscape.dimensions": 2, "landscape.points": 3, "landscape.normalise": "none"}
        (both,) = analyze_runs([mlp(0), mlp(1)], "landscape", output_dir=self.folder, what_options=options)
        self.assertEqual(both.subjects, ("mlp-0, step 4", "mlp-1, step 4"))
        for number, run in ((1, mlp(0)), (2, mlp(1))):
            losses = column(both.folder / f"plane-{number}-batch.csv", "loss")
            # Draws of the seed alone, made orthogonal: the same for both.
            like = open_run(run).objective()
            draws = [
                np.concatenate(
                    [
                        np.random.default_rng((0, k, i)).standard_normal(v.shape).ravel()
                        for i, v in enumerate(like.variables)
                    ]
                )
                for k in (0, 1)
            ]
            first, second = draws
            left = second - first * (first @ second) / (first @ first)
            second = left * np.linalg.norm(second) / np.linalg.norm(left)
            operator = like.linear_operator()
            theta = operator.vector([v.numpy() for v in like.theta()])
            at = operator.tree(theta - first + second)
            self.assertAlmostEqual(losses[2], float(like.loss(at)), delta=1e-9)  # (-1, 1)
            for ending in ("csv", "png", "html"):
                self.assertTrue((both.folder / f"plane-{number}-batch.{ending}").stat().st_size)

    def test_goes_on_after_an_interruption_with_what_is_lacking(self):
        options = {"landscape.points": 5}
        whole = self.one(mlp(), "landscape", what_options=options, output_dir=self.folder / "whole")
        parts, count = self.folder / "parts", 0

        def interrupting(objective, theta=None):
            nonlocal count
            count += 1
            if count == 9:
                raise KeyboardInterrupt
            return original(objective, theta)

        from tf_fullbatch.analysis import landscape

        original = landscape.value
        with mock.patch.object(landscape, "value", interrupting):
            with self.assertRaises(KeyboardInterrupt):
                self.one(mlp(), "landscape", what_options=options, output_dir=parts)
            (folder,) = parts.iterdir()
            with np.load(folder / "loss-batch.npz") as arrays:
                self.assertEqual(int(np.isfinite(arrays["loss"]).sum()), 8)
            self.assertFalse((folder / "figures.json").exists())
            again = self.one(mlp(), "landscape", what_options=options, output_dir=parts)
        self.assertEqual(count, 9 + 25 - 8)
        self.assertEqual((again.folder, again.figures), (folder, whole.figures))
        self.assertAlmostEqual(again.gradient_evaluations, whole.gradient_evaluations)

    def test_known_points_of_something_else_are_refused(self):
        answer = self.one(mlp(), "landscape", what_options=LINE)
        other = self.one(mlp(), "landscape", step=2, what_options=LINE)
        (answer.folder / "figures.json").unlink()
        (answer.folder / "loss-batch.npz").write_bytes((other.folder / "loss-batch.npz").read_bytes())
        with self.assertRaisesRegex(UserError, "other weights or directions"):
            self.one(mlp(), "landscape", what_options=LINE)

    def test_without_plotly_there_is_no_page(self):
        with mock.patch.object(work, "find_spec", return_value=None):
            answer = self.one(mlp(), "landscape", what_options={"landscape.points": 3})
        self.assertFalse(list(answer.folder.glob("*.html")))
        self.assertTrue((answer.folder / "plane-batch.png").exists())


PLANE = {"path.points": 5}


class PathTest(AnalysisCase):
    def test_losses_are_the_histories(self):
        answer = self.one(mlp(), "path", what_options=PLANE)
        history = [row["loss"] for row in steps_of(mlp())]
        losses = column(answer.folder / "path.csv", "loss")
        np.testing.assert_allclose(losses[:3], history[1:], rtol=1e-12)
        shares = [f.value for f in answer.figures if f.quantity == "explained_variance"]
        self.assertLessEqual(sum(shares), 1 + 1e-12)
        self.assertGreater(shares[0], shares[1])
        self.assertEqual(figure(answer, "checkpoints").of, "steps 1 to 4")
        self.assertEqual(column(answer.folder / "path.csv", "first")[-1], 0)
        for name in ("path.png", "path.html", "plane.csv"):
            self.assertTrue((answer.folder / name).stat().st_size)

    def test_of_a_run_that_is_going_on(self):
        run = self.copy(mlp())
        gone = run / "checkpoints/step-00000004"
        gone.rename(run / "later")
        (run / "checkpoints/.step-00000005.aside").mkdir()  # one that is being written
        earlier = self.one(run, "path", what_options=PLANE)
        self.assertEqual(figure(earlier, "checkpoints").of, "steps 1 to 3")
        (run / "later").rename(gone)
        damaged = run / "checkpoints/step-00000002/arrays.npz"
        content = damaged.read_bytes()
        damaged.write_bytes(content[:100])
        later = self.one(run, "path", what_options=PLANE)
        self.assertEqual((later.figures[0].value, later.figures[0].of), (3, "steps 1 to 4"))
        damaged.write_bytes(content)
        whole = self.one(run, "path", what_options=PLANE)
        self.assertEqual(len({earlier.folder, later.folder, whole.folder}), 3)

    def test_too_few_checkpoints(self):
        with self.assertRaisesRegex(
            UserError, "takes 3 whole checkpoints, but 2 up to this step.*checkpoint_every"
        ):
            self.one(mlp(), "path", step=2)


class BarrierTest(AnalysisCase):
    def test_between_two_runs(self):
        options = {"barrier.points": 5, "barrier.bezier": True, "barrier.steps": 15, "barrier.nodes": 2}
        (answer,) = analyze_runs([mlp(0), mlp(1)], "barrier", output_dir=self.folder, what_options=options)
        first, second = (open_run(mlp(seed)) for seed in (0, 1))
        ends = [first.objective().theta(), second.objective().theta()]

        def loss(a: float) -> float:
            between = [(1 - a) * x + a * y for x, y in zip(*ends, strict=True)]
            return float(first.objective().loss(between))

        losses = column(answer.folder / "barrier.csv", "loss", path="line")
        np.testing.assert_allclose(losses, [loss(a) for a in (0, 0.25, 0.5, 0.75, 1)], rtol=1e-12)
        rise = max(
            x - ((1 - a) * losses[0] + a * losses[-1])
            for a, x in zip(np.linspace(0, 1, 5), losses, strict=True)
        )
        self.assertAlmostEqual(value(answer, "barrier_of_the_loss", "line"), rise, delta=1e-12)
        self.assertLess(value(answer, "mean_loss", "Bezier curve"), value(answer, "mean_loss", "line"))
        self.assertRegex(figure(answer, "barrier_of_the_error", "line").remark, "linearly connected")
        # 5 forward passes twice, and 15 x 2 gradients; statistics cost a pass more for each new point
        self.assertAlmostEqual(answer.gradient_evaluations, 2 * 2 * 5 / 3 + 30)
        self.assertTrue((answer.folder / "barrier.png").stat().st_size)

    def test_between_two_steps_of_a_run(self):
        (answer,) = analyze_runs(
            mlp(), "barrier", step=(1, 3), output_dir=self.folder, what_options={"barrier.points": 3}
        )
        history = steps_of(mlp())
        self.assertAlmostEqual(value(answer, "loss_at_the_first"), history[1]["loss"], delta=1e-12)
        self.assertAlmostEqual(value(answer, "loss_at_the_second"), history[3]["loss"], delta=1e-12)

    def test_folders_and_order(self):
        answers = analyze_runs(
            [mlp(0), mlp(1)],
            ("barrier", "trace"),
            output_dir=self.folder,
            what_options="trace.products=2,trace.ggn=False,barrier.points=2",
        )
        self.assertEqual(
            [answer.folder.name for answer in answers],
            ["mlp-0-step-00000004-trace", "mlp-1-step-00000004-trace", "mlp-0-step-00000004-barrier"],
        )
        for name in (p.name for p in self.folder.rglob("*")):
            self.assertIsNone(re.search(r"\s", name), name)
