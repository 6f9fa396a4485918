"""The command `python -m tf_fullbatch.analyze`."""

import contextlib
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import tf_fullbatch
from tests.command import contents
from tests.inspection.runs import AnalysisCase, mlp, normalised
from tf_fullbatch.analysis import landscape
from tf_fullbatch.commands import analyze
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.registry import QUESTIONS

ROOT = Path(__file__).parents[2]


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = analyze.main(["analyze", *map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


class ArgumentsTest(unittest.TestCase):
    def test_folders_and_flags_in_any_order(self):
        expected = ["a", "b"], Options(what=("trace", "path"), own_code=True, step=(3, 4), samples=9)
        for arguments in (
            ["a", "b", "--what=trace,path", "--own_code", "--step=3,4", "--samples=9"],
            ["--own_code", "a", "--what", "trace,path", "b", "--step", "3,4", "--samples", "9"],
            ["--what=trace,path", "--own_code", "--step=3,4", "--samples=9", "--", "a", "b"],
        ):
            self.assertEqual(analyze.parse(["analyze", *arguments]), expected)
        _, options = analyze.parse(["analyze", "a", "--what=path", "--noaugmentation", "--samples=all"])
        self.assertEqual(options, Options(what=("path",), augmentation=False))

    def test_help_names_every_flag_and_option(self):
        code, out, _ = run("--help")
        self.assertEqual(code, 0)
        for field in dataclasses.fields(Options):
            self.assertIn(f"  --{field.name}=(", out)
        for question, kind in QUESTIONS.items():
            for field in dataclasses.fields(kind):
                self.assertIn(f"  {question}.{field.name}=(", out)


class AnalyzeTest(AnalysisCase):
    def test_prints_what_it_is_of_and_where_it_is_and_finds_it_again(self):
        arguments = (
            normalised(), "--what=landscape", "--step=2", f"--output_dir={self.folder}", "--own_code",
            "--what_options=landscape.points=3",
        )  # fmt: skip
        code, out, _ = run(*arguments)
        self.assertEqual(code, 0)
        for words in (
            "landscape of network, step 2\n",
            "  samples: train, all 100\n",
            "  statistics: batch, of each micro-batch of 32\n",
            "  augmentation: crop, of epoch 2\n",
            "  dropout: as in step 3\n",
            f"3 gradient evaluations per sample; wrote: {self.folder}/network-step-00000002-landscape\n",
        ):
            self.assertIn(words, out)
        (found, recorded) = re.search(r"loss at the weights +batch +(\S+) .* recorded (\S+)", out).groups()
        self.assertEqual(found, recorded)
        before = contents(self.folder)
        with mock.patch.object(landscape, "value", side_effect=AssertionError("computed again")):
            code, again, _ = run(*arguments)
        self.assertEqual((code, contents(self.folder)), (0, before))
        self.assertEqual(again, out.replace("; wrote:", "; was there already:"))
        code, other, _ = run(*arguments, "--what_options=landscape.points=3,landscape.seed=1")
        self.assertIn("network-step-00000002-landscape-2\n", other)
        self.assertEqual({k: v for k, v in contents(self.folder).items() if k in before}, before)

    def test_refused_in_one_line_and_nothing_is_written(self):
        missing = self.folder / "nowhere"
        before = contents(mlp())
        for arguments, words in (
            ([mlp()], "--what is missing"),
            ([mlp(), "--what=spektrum"], "--what=spektrum: there is no such question; did you mean spectrum"),
            ([mlp(), "--whta=trace"], "whta.*--help"),
            (["--what=trace"], "no run to look at"),
            ([missing, "--what=trace"], "nowhere: there is no run"),
            ([mlp(), "--what=trace", "--step=9"], "--step=9: .* kept are the steps 1, 2, 3, 4"),
            ([mlp(), "--what=spectrum", "--what_options=spectrum.k=200"], "k=200: there are 85 parameters"),
            ([mlp(), "--what=spectrum", "--what_options=trace.products=3"], "of one of spectrum"),
            ([mlp(), "--what=barrier"], "takes two trained networks, but 1 came"),
            ([mlp(), normalised(), "--what=landscape"], "runs of one network, but --model is mlp"),
            ([normalised(), "--what=trace"], "uses code, --model="),
            ([mlp(), "--what=path", "--step=2"], "takes 3 whole checkpoints"),
            ([mlp(), "--what=trace", "--num_replicas=9"], "--num_replicas=9: there are"),
        ):
            with self.subTest(words):
                code, out, err = run(*arguments, f"--output_dir={self.folder}")
                self.assertEqual((code, out, err.count("\n")), (2, "", 1), err)
                self.assertRegex(err, f"^error: .*{words}")
        self.assertEqual(contents(mlp()), before)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_interrupted(self):
        with mock.patch.object(landscape, "value", side_effect=KeyboardInterrupt):
            code, _, err = run(mlp(), "--what=landscape", f"--output_dir={self.folder}")
        self.assertEqual(code, 5)
        self.assertIn("error: interrupted: what was computed is kept; the same command goes on", err)

    def test_results_stand_in_the_runs_folder(self):
        trained = self.copy(mlp())
        code, out, _ = run(trained, "--what=trace", "--what_options=trace.products=2", "--step=1,3")
        self.assertEqual(code, 0)
        made = sorted(path.name for path in (trained / "analysis").iterdir())
        self.assertEqual(made, ["step-00000001-trace", "step-00000003-trace"])
        self.assertIn(f"wrote: {trained}/analysis/step-00000003-trace", out)

    def test_replicas_agree(self):
        command = [sys.executable, "-m", "tf_fullbatch.analyze", mlp(), "--what=landscape,trace"]
        command += [f"--output_dir={self.folder}/two", "--simulate_devices=2", "--own_code"]
        command += ["--what_options=landscape.points=3,trace.products=4"]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        run(mlp(), "--what=landscape,trace", f"--output_dir={self.folder}/one", command[-1])
        for name in ("landscape", "trace"):
            one, two = (
                json.loads((self.folder / f"{n}/mlp-0-step-00000004-{name}/figures.json").read_text())
                for n in ("one", "two")
            )
            for a, b in zip(one["figures"], two["figures"], strict=True):
                self.assertAlmostEqual(a["value"], b["value"], delta=1e-10)

    def test_from_python(self):
        (answer,) = tf_fullbatch.analyze_runs(
            str(mlp()), "trace", output_dir=self.folder, what_options={"trace.products": 2}
        )
        self.assertEqual((answer.what, answer.subjects), ("trace", ("mlp-0, step 4",)))
        self.assertRegex(answer.table(), r"trace +hessian +\S+ +\S+")
        with self.assertRaisesRegex(UserError, "^what=tracce: there is no such"):
            tf_fullbatch.analyze_runs(mlp(), "tracce")
        with self.assertRaises(TypeError):
            tf_fullbatch.analyze_runs(mlp(), "trace", sampels=3)
        (again,) = tf_fullbatch.analyze_runs(
            mlp(), "trace", output_dir=self.folder, what_options={"trace.products": 2}
        )
        self.assertTrue(again.was_there)


if __name__ == "__main__":
    unittest.main()
