"""Spectrum, trace and flatness against dense matrices in float64."""

import csv
import json
import math

import numpy as np

from tests.inspection.runs import AnalysisCase, dense, figure, mlp, normalised, own, value
from tf_fullbatch import open_run
from tf_fullbatch.errors import UserError


class SpectrumTest(AnalysisCase):
    def test_ends_density_and_blocks_are_the_matrixs(self):
        options = {"spectrum.k": 3, "spectrum.smallest": 2, "spectrum.tolerance": 1e-4, "spectrum.steps": 20}
        options |= {"spectrum.probes": 3}
        answer = self.one(mlp(), "spectrum", what_options=options | {"spectrum.blocks": "hidden/kernel+bias"})
        for name, matrix in (("hessian", dense(mlp())), ("ggn", dense(mlp(), curvature="ggn"))):
            exact = np.linalg.eigvalsh(matrix)
            span = np.ptp(exact)
            for i in range(3):
                self.assertAlmostEqual(
                    value(answer, "eigenvalue", f"{name} {i + 1}"), exact[-1 - i], delta=1e-6
                )
            with (answer.folder / "eigenvalues.csv").open() as file:
                rows = [
                    r
                    for r in csv.DictReader(file)
                    if (r["matrix"], r["quantity"]) == (name, "smallest_eigenvalue")
                ]
            for i, row in enumerate(rows):
                found = figure(answer, "smallest_eigenvalue", f"{name} {i + 1}")
                self.assertEqual(found.value, float(row["value"]))
                self.assertLess(abs(found.value - exact[i]), float(row["residual"]) * span)
                # The Gauss-Newton matrix has many eigenvalues near 0, which no solver tells apart so finely.
                self.assertIn(", converged" if name == "hessian" else "residual", found.remark)
            self.assertEqual(len(rows), 2)
            # What Lanczos quadrature has exactly of each probe v of random signs: v^T H v and |H v|^2, by n.
            generator, n = np.random.default_rng(0), len(matrix)
            probes = [2.0 * generator.integers(0, 2, n) - 1 for _ in range(3)]
            mean = np.mean([v @ matrix @ v for v in probes]) / n
            square = np.mean([np.sum((matrix @ v) ** 2) for v in probes]) / n
            self.assertAlmostEqual(value(answer, "mean_eigenvalue", name), mean, delta=1e-12)
            self.assertAlmostEqual(value(answer, "mean_squared_eigenvalue", name), square, delta=1e-12)
        self.assertLess(value(answer, "share_of_negative_curvature", "ggn"), 1e-6)
        self.assertGreater(value(answer, "share_of_negative_curvature", "hessian"), 0.01)
        paths = [v.path for v in open_run(mlp()).network.trainable_variables]
        sizes = np.cumsum([0, *(np.size(v) for v in open_run(mlp()).network.trainable_variables)])
        for name in ("hidden/kernel", "bias"):
            of = np.concatenate([np.arange(sizes[i], sizes[i + 1]) for i, p in enumerate(paths) if name in p])
            top = np.linalg.eigvalsh(dense(mlp())[np.ix_(of, of)])[-1]
            self.assertAlmostEqual(value(answer, "eigenvalue", f"block {name} 1"), top, delta=1e-6)

    def test_what_is_kept(self):
        answer = self.one(mlp(), "spectrum", what_options={"spectrum.k": 2, "spectrum.steps": 5})
        names = {path.name for path in answer.folder.iterdir()}
        self.assertLessEqual(
            {
                "settings.json",
                "figures.json",
                "figures.csv",
                "eigenvalues.csv",
                "density.csv",
                "spectrum.png",
            },
            names,
        )
        with (answer.folder / "eigenvalues.csv").open() as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["matrix"] for row in rows], ["hessian"] * 3 + ["ggn"] * 3)
        self.assertEqual(float(rows[0]["value"]), value(answer, "eigenvalue", "hessian 1"))
        with (answer.folder / "density.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["matrix"] == "Hessian"]
        x, y = (np.array([float(row[name]) for row in rows]) for name in ("eigenvalue", "density"))
        self.assertAlmostEqual(np.trapezoid(y, x), 1, places=6)  # all of the smoothed density is on the grid
        settings = json.loads((answer.folder / "settings.json").read_text())
        self.assertEqual((settings["options"]["k"], settings["runs"][0]["step"]), (2, 4))
        self.assertEqual(settings["runs"][0]["samples"], "train, all 60")

    def test_every_part_that_is_kept_is_not_computed_again(self):
        options = {"spectrum.k": 2, "spectrum.steps": 5, "spectrum.ggn": False}
        whole = self.one(mlp(), "spectrum", what_options=options)
        self.assertFalse(whole.was_there)
        (whole.folder / "figures.json").unlink()
        (whole.folder / "hessian-density.npz").unlink()
        again = self.one(mlp(), "spectrum", what_options=options)
        self.assertEqual((again.folder, again.figures), (whole.folder, whole.figures))
        # 2 evaluations per product: all of them are counted, those of the earlier process too.
        self.assertEqual(again.gradient_evaluations, whole.gradient_evaluations)
        self.assertGreaterEqual(whole.gradient_evaluations, 2 * (2 * 5 + 3))
        self.assertEqual(whole.gradient_evaluations % 2, 0)
        found = self.one(mlp(), "spectrum", what_options=options)
        self.assertTrue(found.was_there)
        self.assertEqual(str(found.figures), str(whole.figures))

    def test_refused(self):
        for options, words in (
            ({"spectrum.k": 86}, "spectrum.k=86: there are 85 parameters"),
            ({"spectrum.smallest": 86}, "spectrum.smallest=86"),
            ({"spectrum.blocks": "hiden"}, "spectrum.blocks=hiden: no variable"),
        ):
            with self.subTest(words), self.assertRaisesRegex(UserError, words):
                self.one(mlp(), "spectrum", what_options=options)
        self.assertEqual(list(self.folder.iterdir()), [])


class TraceTest(AnalysisCase):
    def test_exact_with_as_many_products_as_parameters(self):
        answer = self.one(mlp(), "trace", what_options={"trace.products": 999, "trace.blocks": "logits"})
        matrices = dense(mlp()), dense(mlp(), curvature="ggn")
        for name, matrix in zip(("hessian", "ggn"), matrices, strict=True):
            found = figure(answer, "trace", name)
            self.assertAlmostEqual(found.value, np.trace(matrix), delta=1e-9)
            self.assertEqual((found.standard_error, found.remark), (0, "exact"))
        # hidden/kernel, hidden/bias, logits/kernel, logits/bias
        self.assertAlmostEqual(
            value(answer, "trace", "block logits"), np.trace(matrices[0][65:, 65:]), delta=1e-9
        )
        self.assertTrue((answer.folder / "trace.png").stat().st_size)

    def test_estimated(self):
        exact = np.trace(dense(mlp()))
        for method in ("hutchinson", "hutch++", "xtrace"):
            options = {"trace.products": 30, "trace.method": method, "trace.ggn": False}
            found = figure(self.one(mlp(), "trace", what_options=options), "trace")
            with self.subTest(method):
                self.assertGreater(found.standard_error, 0)
                self.assertLess(abs(found.value - exact), 5 * found.standard_error)
        with self.assertRaisesRegex(UserError, r"trace.products=5: hutch\+\+ takes at least 6"):
            self.one(mlp(), "trace", what_options={"trace.products": 5, "trace.method": "hutch++"})


class FlatnessTest(AnalysisCase):
    def test_rises(self):
        options = {"flatness.rho": 1e-3, "flatness.noise": 1e-3, "flatness.draws": 40}
        answer = self.one(mlp(), "flatness", what_options=options, step=2)
        run = open_run(mlp(), 2)
        point = run.objective().value_and_gradient()
        slope = math.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in point.gradient))
        self.assertAlmostEqual(value(answer, "worst_case"), 1e-3 * slope, delta=1e-2 * 1e-3 * slope)
        mean = figure(answer, "average_case")
        self.assertLess(abs(mean.value - 1e-6 / 2 * np.trace(dense(mlp(), 2))), 5 * mean.standard_error)
        self.assertGreater(value(answer, "adaptive_worst_case"), 0)
        # 21 gradients, twice; 1 + 2 x 40 forward passes of a third, twice
        self.assertAlmostEqual(answer.gradient_evaluations, 2 * 21 + 2 * 81 / 3)


class NetworksTest(AnalysisCase):
    def test_weights_that_are_not_finite(self):
        run = self.copy(mlp())
        from tf_fullbatch.records.checkpoints import load_checkpoint, save_checkpoint

        last = load_checkpoint(run / "checkpoints/step-00000004")
        name = next(n for n in last.arrays if n.endswith("logits/bias"))
        last.arrays[name][0] = np.nan
        save_checkpoint(run / "checkpoints", step=4, epoch=4, arrays=last.arrays, metadata=last.metadata)
        with self.assertRaisesRegex(UserError, "step 4: the weights .*logits/bias are not finite; .*step"):
            self.one(run, "trace")
        self.assertFalse((run / "analysis").exists())

    def test_second_derivatives_that_are_not_exact(self):
        run = own("resized", "--learning_rate=0.01")
        for what in ("spectrum", "trace"):
            with self.assertRaisesRegex(UserError, "ResizeBilinearGrad"):
                self.one(run, what)
        self.assertEqual(list(self.folder.iterdir()), [])
        options = {"flatness.steps": 1, "flatness.draws": 2}
        self.assertGreater(value(self.one(run, "flatness", what_options=options), "worst_case"), 0)

    def test_code_of_ones_own_runs_where_it_is_asked_for_alone(self):
        with self.assertRaisesRegex(
            UserError, "uses code, model=.*networks_of_runs.py:network.*give own_code"
        ):
            self.one(normalised(), "trace", own_code=False)

    def test_samples_and_statistics_of_a_network_with_batch_normalisation(self):
        options = {"landscape.dimensions": 1, "landscape.points": 3}
        found = {}
        for split, statistics, samples in (
            ("train", None, None),
            ("train", "recalibrated", 40),
            ("test", None, 50),
        ):
            answer = self.one(
                normalised(),
                "landscape",
                split=split,
                statistics=statistics,
                samples=samples,
                what_options=options,
            )
            (said,) = json.loads((answer.folder / "settings.json").read_text())["runs"]
            found[split, statistics] = said
        self.assertEqual(found["train", None]["statistics"], "batch, of each micro-batch of 32")
        self.assertEqual(found["train", None]["augmentation"], "crop, of epoch 3")
        self.assertEqual(found["train", "recalibrated"]["samples"], "train, 40 of 100, drawn with seed 0")
        self.assertEqual(found["test", None]["augmentation"], "none")
        self.assertTrue(found["test", None]["statistics"].startswith("frozen"))
        self.assertEqual(found["train", None]["dropout"], "as in step 4")
        self.assertEqual(found["test", None]["dropout"], "off in inference")
        with self.assertRaisesRegex(UserError, "samples=999: .* has 100 train samples"):
            self.one(normalised(), "trace", samples=999)
        with self.assertRaisesRegex(
            UserError, "split=validation: .* has no such samples; it has train, test"
        ):
            self.one(normalised(), "trace", split="validation")
