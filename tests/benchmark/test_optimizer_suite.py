"""--suite=optimizers: its rows, its arithmetic, a small run, and that no method copies weights to the host."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from absl.testing import parameterized
from tensorflow.python.framework import ops

from tf_fullbatch.benchmark import comparisons, device, optimizer_suite, options
from tf_fullbatch.benchmark.comparisons import METHODS, MethodWork, Workload
from tf_fullbatch.benchmark.optimizer_suite import Stepped
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Timing
from tf_fullbatch.commands import benchmark
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.registry import OPTIMIZERS

TINY = MethodWork(
    work=Workload(model="mlp", image_size=4, num_classes=2, samples=16, micro_batch_size=8), wanted=0.2
)
NOT_TIMED = {
    "gradient_descent",
    "gradient_flow",
    "central_flow",
}  # of other names; integrators with steps of their own


class RowsTest(unittest.TestCase):
    def test_every_method_has_a_row(self):
        named = {settings.get("optimizer", "gradient_descent") for settings in METHODS.values()}
        self.assertEqual(named, set(OPTIMIZERS) - NOT_TIMED | {"gradient_descent"})

    def test_what_is_beyond_the_evaluations(self):
        def timings(*seconds):
            return [Timing(s, s, device.Peaks(0, None)) for s in seconds]

        method = mock.Mock(spec=Stepped, wanted=0.05, spent=2.0, kept=3.0)
        method.name = "tiny"
        # A machine three times slower in its second round.
        row = optimizer_suite.result(method, timings(1, 3, 1), timings(2.2, 6.6, 2.6))
        rounded = {key: round(value, 12) for key, value in row["beyond"].items()}
        self.assertEqual(rounded, {"median": 0.1, "least": 0.1, "largest": 0.3})
        self.assertEqual((row["seconds_per_step"], row["seconds_per_evaluation"]), (2.6, 1))
        line = optimizer_suite.table([row]).splitlines()[-1]
        self.assertEqual(
            line.split(),
            ["tiny", "2600", "2", "1000", "10.0", "%", "10.0", "%", "30.0", "%", "3", "<=", "5", "%"],
        )

    def test_flags(self):
        parsed = options.parse(
            ["benchmark", "--suite=optimizers", "--rows=lbfgs,muon", "--works=mlp", "--seconds=0"]
        )
        expected = Options(suite="optimizers", rows=("lbfgs", "muon"), works=("mlp",), seconds=0.0)
        self.assertEqual(parsed, expected)
        for flag, message in (
            ("--rows=mlp_pass", "--rows=mlp_pass: accepted are descent, .*newton_cg"),
            ("--works=vgg", "--works=vgg: accepted are mlp, resnet18"),
            ("--samples=3", "--samples=3 has no effect with --suite=optimizers"),
        ):
            with self.subTest(flag), self.assertRaisesRegex(UserError, message):
                options.parse(["benchmark", "--suite=optimizers", flag])


class SmallRunTest(parameterized.TestCase):
    def test_command(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.dict(comparisons.METHOD_WORKS, {"mlp": TINY}, clear=True),
        ):
            file = Path(folder) / "figures.json"
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(io.StringIO()):
                rows = "descent,lbfgs,adai"
                code = benchmark.main(
                    ["benchmark", "--suite=optimizers", f"--rows={rows}", "--repeats=2", f"--json={file}",
                     "--seconds=0"]
                )  # fmt: skip
            self.assertEqual(code, 0)
            found = {row["method"]: row for row in json.loads(file.read_text())["optimizers"]["mlp"]}
        self.assertEqual(set(found), {"descent", "lbfgs", "adai"})
        self.assertEqual(found["descent"]["evaluations_per_step"], 1)
        self.assertGreaterEqual(found["lbfgs"]["evaluations_per_step"], 2)
        self.assertAlmostEqual(found["lbfgs"]["kept_per_weight"], 22, delta=0.2)
        self.assertAlmostEqual(found["adai"]["kept_per_weight"], 3, delta=0.1)
        self.assertLen(found["adai"]["seconds"]["step"], 2)
        self.assertIn("beyond them", shown.getvalue())

    @parameterized.parameters("muon", "armijo", "fista", "lbfgs", "nonlinear_cg", "newton_cg")
    def test_no_copy_of_the_weights_on_the_host(self, name):
        stepped = Stepped(name, TINY)
        stepped.passes(2)
        copied: list[int] = []
        real = ops.EagerTensor._numpy  # what numpy(), float() and bool() call

        def watched(tensor):
            copied.append(tensor.shape.num_elements())
            return real(tensor)

        self.assertGreater(max(v.value.shape.num_elements() for v in stepped.trainable), 200)
        with mock.patch.object(ops.EagerTensor, "_numpy", watched):
            stepped.steps(2)
        self.assertNotEmpty(copied)
        self.assertLess(max(copied), 200)


if __name__ == "__main__":
    unittest.main()
