"""--suite=curvature: its rows, its arithmetic, and a small run of each of its measurements."""

import contextlib
import dataclasses
import inspect
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

from tf_fullbatch.analysis import eigenvalues
from tf_fullbatch.analysis.measures.density import DensitySettings
from tf_fullbatch.analysis.measures.registry import MEASURES
from tf_fullbatch.analysis.measures.trace import TraceSettings
from tf_fullbatch.benchmark import comparisons, curvature_suite, device, measure_costs, options
from tf_fullbatch.benchmark.comparisons import PRODUCTS, SPENDING, ProductComparison, Spending, Workload
from tf_fullbatch.benchmark.curvature_suite import GRADIENT, PRODUCT
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Timing
from tf_fullbatch.commands import benchmark
from tf_fullbatch.core.curvature import CURVATURES
from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.core.objective import PRODUCT_EVALUATIONS, Objective
from tf_fullbatch.errors import UserError

LINEAR = Workload(model="linear", image_size=4, num_classes=2, samples=8, micro_batch_size=4)
TINY = Spending(measure="sharpness", every=2, steps=4, samples=20, wanted=51)


class RowsTest(unittest.TestCase):
    def test_ratios_are_those_of_a_round(self):
        def timings(*seconds):
            return [Timing(s, cpu, device.Peaks(0, None)) for s, cpu in seconds]

        row = curvature_suite.result(
            "tiny",
            ProductComparison(work=LINEAR, wanted=2.2),
            # A machine three times slower in its second round; in the third another process takes time.
            {GRADIENT: timings((1, 1), (3, 3), (1, 1)), PRODUCT: timings((2, 2), (6, 6.3), (9, 2.2))},
        )
        self.assertEqual(row["ratio"], {"median": 2.0, "least": 2.0, "largest": 9.0})
        self.assertEqual({key: round(v, 12) for key, v in row["cpu_ratio"].items()},
                         {"median": 2.1, "least": 2.0, "largest": 2.2})  # fmt: skip
        self.assertEqual((row["seconds_per_gradient"], row["seconds_per_product"]), (1, 6))
        line = curvature_suite.table([row]).splitlines()[-1]
        self.assertEqual(line.split(), ["tiny", "6000", "1000", "2.00", "2.00", "9.00", "2.10", "<=", "2.2"])
        four = ProductComparison(work=LINEAR, directions=4)
        row = curvature_suite.result("four", four, {GRADIENT: timings((1, 1)), PRODUCT: timings((6, 5))})
        self.assertEqual((row["ratio"]["median"], row["cpu_ratio"]["median"]), (1.5, 1.25))
        self.assertEqual((row["seconds_per_product"], row["seconds"][PRODUCT]), (1.5, [1.5]))
        self.assertEqual(curvature_suite.table([{**row, "wanted": None}]).split()[-1], "-")

    def test_rows_name_what_there_is(self):
        for row in PRODUCTS.values():
            self.assertIn(row.curvature, CURVATURES)
            self.assertIn(row.statistics, STATISTICS)
            self.assertEqual(row.work.samples % row.work.micro_batch_size, 0)
        for row in SPENDING.values():
            self.assertIn(row.measure, MEASURES)
        self.assertEqual(len(set(comparisons.CURVATURE)), len(PRODUCTS) + len(SPENDING) + 1)

    def test_what_is_wanted_of_measures_is_what_their_defaults_say(self):
        probes, trace = DensitySettings(), TraceSettings()
        self.assertEqual(SPENDING["density"].wanted, PRODUCT_EVALUATIONS * probes.probes * probes.steps)
        self.assertEqual(SPENDING["trace"].wanted, PRODUCT_EVALUATIONS * trace.products)

    def test_flags(self):
        parsed = options.parse(["benchmark", "--suite=curvature", "--rows=mlp_hessian,memory", "--seconds=0"])
        self.assertEqual(parsed, Options(suite="curvature", rows=("mlp_hessian", "memory"), seconds=0.0))
        for flag, message in (
            ("--rows=mlp_pass", "--rows=mlp_pass: accepted are mlp_hessian, .*memory"),
            ("--samples=3", "--samples=3 has no effect with --suite=curvature"),
        ):
            with self.subTest(flag), self.assertRaisesRegex(UserError, message):
                options.parse(["benchmark", "--suite=curvature", flag])


class ProductsTest(unittest.TestCase):
    def test_as_many_gradients_as_products_at_one_place(self):
        asked = []

        def seen(name, call):
            def spy(self, theta, *rest):
                asked.append((name, [id(leaf) for leaf in theta], self.statistics, rest))
                return call(self, theta, *rest)

            return spy

        comparison = ProductComparison(work=LINEAR, curvature="ggn", statistics="frozen", directions=2)
        with (
            mock.patch.object(Objective, "hvps", seen(PRODUCT, Objective.hvps)),
            mock.patch.object(Objective, "value_and_gradient", seen(GRADIENT, Objective.value_and_gradient)),
        ):
            timed = curvature_suite.timed(comparison)
            self.assertEqual(list(timed), [GRADIENT, PRODUCT])
            for run in timed.values():
                self.assertGreater(run(2), 0)
        self.assertEqual([name for name, *_ in asked], [GRADIENT] * 2 + [PRODUCT] * 2)
        self.assertEqual(len({(tuple(place), statistics) for _, place, statistics, _ in asked}), 1)
        self.assertEqual(asked[0][2], "frozen")
        directions, curvature = asked[-1][3]
        self.assertEqual((len(directions), curvature), (2, "ggn"))

    def test_the_command(self):
        file = Path(self.enterContext(tempfile.TemporaryDirectory())) / "curvature.json"
        rows = {"mlp_hessian": ProductComparison(work=LINEAR, wanted=2.2)}
        flags = ["--suite=curvature", "--rows=mlp_hessian,trace,memory", "--repeats=2", "--seconds=0"]
        printed = io.StringIO()
        with (
            mock.patch.object(curvature_suite, "PRODUCTS", rows),
            mock.patch.object(
                measure_costs, "SPENDING", {"trace": dataclasses.replace(TINY, measure="trace")}
            ),
            mock.patch.object(measure_costs, "TRACKED", (2,)),
            contextlib.redirect_stdout(printed),
        ):
            self.assertEqual(benchmark.main(["benchmark", *flags, f"--json={file}"]), 0)
        found = json.loads(file.read_text())
        (product,), (spent,), (memory,) = found["products"], found["spending"], found["memory"]
        self.assertEqual([len(times) for times in product["seconds"].values()], [2, 2])
        self.assertGreater(product["ratio"]["least"], 0)
        self.assertGreater(product["cpu_ratio"]["least"], 0)
        self.assertEqual((spent["row"], len(spent["evaluations"]), memory["k"]), ("trace", 3, 2))
        for text in ("mlp_hessian ", "trace ", "bytes per parameter"):
            self.assertIn(text, printed.getvalue())

    def test_nothing_else_is_measured_than_was_asked_for(self):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), mock.patch.object(measure_costs, "TRACKED", (1,)):
            found = benchmark.execute(Options(suite="curvature", rows=("memory",)))
        self.assertNotIn("products", found)
        self.assertNotIn("spending", found)
        self.assertEqual(len(found["memory"]), 1)


class MeasureCostsTest(unittest.TestCase):
    def test_a_measurement_counts_its_products_and_a_gradient(self):
        solved = []

        def spy(*arguments, **settings):
            solved.append(eigenpairs(*arguments, **settings))
            return solved[-1]

        eigenpairs = eigenvalues.eigenpairs
        with mock.patch.object(eigenvalues, "eigenpairs", spy):
            found = measure_costs.spent(TINY)
        spent = [1 + PRODUCT_EVALUATIONS * pairs.products for pairs in solved]
        self.assertEqual(found["evaluations"], spent)
        self.assertEqual((found["first"], found["most"]), (spent[0], max(spent[1:])))
        self.assertAlmostEqual(found["mean"], np.mean(spent[1:]))
        self.assertEqual(found["converged"], np.mean([pairs.converged[0] for pairs in solved[1:]]))
        self.assertGreater(found["edge"], 0)
        cells = measure_costs.spending_table([{"row": "tiny", **found}]).splitlines()[-1].split()
        self.assertEqual(cells[:2] + cells[5:7], ["tiny", "3", "<=", "51"])

    def test_held_vectors_are_those_that_the_eigensolver_says_it_holds(self):
        self.assertIn(
            "there are 6k vectors in memory", " ".join(inspect.getdoc(eigenvalues.eigenpairs).split())
        )
        found = measure_costs.tracked_memory(2, parameters=20_000)
        self.assertEqual(found["stated"], 48)
        self.assertGreater(found["peak"], found["stated"])
        # What is handed in and what a product allocates does not grow with the number of pairs.
        self.assertLess(found["peak"], 3 * found["stated"])

    def test_peak_sees_an_allocation(self):
        def solve(operator, k, **settings):
            del settings
            return np.ones((operator.shape[0], 7 * k))

        with mock.patch.object(measure_costs, "eigenpairs", solve):
            found = measure_costs.tracked_memory(2, parameters=10_000)
        self.assertAlmostEqual(found["peak"], 7 * 8, delta=1)


if __name__ == "__main__":
    unittest.main()
