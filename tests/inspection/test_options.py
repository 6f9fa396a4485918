"""What can be asked, of which runs: settings and refusals that need no TensorFlow."""

import dataclasses
import unittest
from pathlib import Path

from tests.inspection.runs import AnalysisCase, written
from tf_fullbatch.config.run import Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.blocks import blocks_of
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.plan import names_of, places_of, refuse_unlike
from tf_fullbatch.inspection.registry import QUESTIONS

BASE = Config().replacing(model="mlp")


class OptionsTest(unittest.TestCase):
    def test_options_go_to_their_question(self):
        text = "spectrum.k=7,landscape.every_statistics=true,landscape.points=5,spectrum.blocks=conv+head"
        found = Options(what=("spectrum", "landscape", "trace"), what_options=text).questions()
        self.assertEqual(
            (found["spectrum"].k, found["spectrum"].blocks, found["landscape"].points),
            (7, "conv+head", 5),
        )
        self.assertIs(found["landscape"].every_statistics, True)
        self.assertEqual(found["trace"], QUESTIONS["trace"]())

    def test_refused(self):
        for settings, words in (
            ({}, "--what is missing"),
            ({"what": ("tracce",)}, "--what=tracce: there is no such question; did you mean trace?"),
            ({"what": ("trace", "trace")}, "a value comes twice"),
            ({"what": ("trace",), "what_options": "spectrum.k=3"}, "of one of trace"),
            ({"what": ("trace",), "what_options": "trace.k=3"}, "trace has no option 'k'; it has method"),
            (
                {"what": ("trace",), "what_options": "trace.products=0"},
                "of trace: products=0: must be at least",
            ),
            ({"what": ("landscape",), "what_options": "landscape.points=4"}, "give an odd number"),
            ({"what": ("trace",), "split": "dev"}, "--split=dev: accepted are"),
            ({"what": ("trace",), "statistics": "none"}, "--statistics=none: accepted are"),
            ({"what": ("trace",), "samples": 0}, "--samples=0"),
            ({"what": ("trace",), "weights": "mean"}, "--weights=mean: accepted are raw, ema"),
            (
                {"what": ("path",), "weights": "ema"},
                "--weights=ema: the path is that of the weights themselves",
            ),
        ):
            with self.subTest(settings), self.assertRaisesRegex(UserError, words):
                Options(**settings)

    def test_every_question_says_what_it_is(self):
        for name, kind in QUESTIONS.items():
            with self.subTest(name):
                self.assertTrue(kind.summary)
                self.assertIn(kind.weights, ("each", "all", "two"))
                for field in dataclasses.fields(kind):
                    self.assertRegex(field.metadata["help"], r"^[A-Z0-9|].*\.$")


class BlocksTest(unittest.TestCase):
    def test_names(self):
        class Variable:
            def __init__(self, path):
                self.path = path

        every = [Variable(p) for p in ("conv_1/kernel", "conv_2/kernel", "head/kernel", "head/bias")]
        found = {
            wanted: {name: [v.path for v in block] for name, block in blocks_of(every, wanted, "--x").items()}
            for wanted in (None, "each", "conv+head/bias")
        }
        self.assertEqual(found[None], {})
        self.assertEqual(list(found["each"]), [v.path for v in every])
        both = {"conv": ["conv_1/kernel", "conv_2/kernel"], "head/bias": ["head/bias"]}
        self.assertEqual(found["conv+head/bias"], both)
        for wanted in ("hed", "conv+", ""):
            with self.subTest(wanted), self.assertRaisesRegex(UserError, "--x=.*no variable has.*there are"):
                blocks_of(every, wanted, "--x")


class PlacesTest(AnalysisCase):
    def test_runs_and_steps(self):
        a, b = (str(written(self.folder / name, BASE)) for name in "ab")
        for folders, steps, expected in (
            ([a], [], [("a", None)]),
            ([a, b], [], [("a", None), ("b", None)]),
            ([a, b], [2], [("a", 2), ("b", 2)]),
            ([a, b], [2, 1], [("a", 2), ("b", 1)]),
            ([a], [1, 2], [("a", 1), ("a", 2)]),
        ):
            with self.subTest(steps=steps):
                found = places_of(folders, steps)
                self.assertEqual([(p.folder.path.name, p.step) for p in found], expected)

    def test_names_tell_runs_apart(self):
        for paths, names in (
            (["/x/a"], ["a"]),
            (["/x/a", "/x/b"], ["a", "b"]),
            (["/x/one/seed-0", "/x/two/seed-0"], ["one-seed-0", "two-seed-0"]),
            (["/x/one/seed-0", "/x/one/seed-0"], ["seed-0", "seed-0"]),
            (["/"], [""]),
        ):
            with self.subTest(paths):
                self.assertEqual(names_of([Path(path) for path in paths]), names)

    def test_refused(self):
        a, b = (str(written(self.folder / name, BASE)) for name in "ab")
        (self.folder / "empty").mkdir()
        for folders, steps, words in (
            ([], [], "no run to look at"),
            ([a, b], [1, 2, 3], "3 steps for 2 runs"),
            ([a, a], [], "named twice"),
            ([a, f"{b}/../a"], [1], "named twice"),
            ([a], [7], "--step=7: .* kept are the steps 1, 2"),
            ([str(self.folder / "nowhere")], [], "there is no run"),
            ([a, str(self.folder / "empty")], [], "empty: there is no run"),
        ):
            with self.subTest(words), self.assertRaisesRegex(UserError, words):
                places_of(folders, steps)

    def test_what_cannot_be_compared(self):
        run = str(written(self.folder / "run", BASE))
        others = {
            name: str(written(self.folder / name, BASE.replacing(**settings)))
            for name, settings in {
                "seed": {"seed": 1, "learning_rate": 0.3},
                "wide": {"width": 7},
                "double": {"dtype_policy": "float64"},
                "fewer": {"train_size": 100},
            }.items()
        }
        barrier, landscape = ({name: QUESTIONS[name]()} for name in ("barrier", "landscape"))
        for question, other, words in (
            (barrier, "wide", "--width is unset in .*run and 7 in .*wide"),
            (barrier, "double", "--dtype_policy is float32"),
            (barrier, "fewer", "one network on the same samples, but --train_size is unset"),
            (landscape, "wide", "runs of one network, but --width"),
        ):
            with self.subTest(other), self.assertRaisesRegex(UserError, words):
                refuse_unlike(question, places_of([run, others[other]], []))
        refuse_unlike(barrier | landscape, places_of([run, others["seed"]], []))
        refuse_unlike(landscape, places_of([run, others["fewer"]], []))
        refuse_unlike({"trace": QUESTIONS["trace"]()}, places_of([run, *others.values()], []))
        with self.assertRaisesRegex(UserError, "takes two trained networks, but 1 came"):
            refuse_unlike(barrier, places_of([run], []))
        with self.assertRaisesRegex(UserError, "but 3 came"):
            refuse_unlike(barrier, places_of([run, others["seed"], others["fewer"]], []))


if __name__ == "__main__":
    unittest.main()
