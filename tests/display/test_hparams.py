"""TensorBoard's own HParams backend on the summaries of several runs: rows, columns, and no blank cell."""

import math
import tempfile
import unittest
from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from tf_fullbatch.display.step_axes import Position
from tf_fullbatch.display.tensorboard import TensorBoardWriter
from tf_fullbatch.errors import Outcome

_ALL = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
LOSSES = {"loss": 0.5, "cross_entropy": 0.25}


class Tab(NamedTuple):
    """What the tab shows: column names in order, and run -> (settings, figures, status)."""

    settings: list[str]
    figures: set[str]
    rows: dict[str, tuple[dict, dict, int]]


def tab(folder: Path) -> Tab:
    """The tab of `tensorboard --logdir folder`."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    backend = backend_context.Context(
        TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder)))
    )
    request = RequestContext()
    tags = backend.hparams_metadata(request, "")
    columns = backend.experiment_from_metadata(request, "", True, tags, [])
    asked = api_pb2.ListSessionGroupsRequest(slice_size=99, allowed_statuses=_ALL)
    groups = list_session_groups.Handler(request, backend, "", asked).run().session_groups
    rows = {
        group.name.split(" ")[0]: (
            {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
            {metric.name.tag: metric.value for metric in group.metric_values},
            group.sessions[0].status,
        )
        for group in groups
    }
    return Tab([info.name for info in columns.hparam_infos], {i.name.tag for i in columns.metric_infos}, rows)


class HparamsTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_trial_is_named_with_its_arm(self):
        for arm in ("a", "b"):
            place = f"study/trials/{arm}/learning_rate=0.1/seed-1000000"
            self.run_once(place, {"learning_rate": 0.1, "weight_decay": 0.0}, Outcome.COMPLETED)
        self.run_once("study/a/seed-0", {"learning_rate": 0.1, "weight_decay": 0.0}, Outcome.COMPLETED)
        trials = {f"{arm}/learning_rate=0.1/seed-1000000" for arm in "ab"}
        self.assertEqual({*trials, "a/seed-0"}, set(tab(self.folder).rows))

    def run_once(
        self, name: str, settings: dict, outcome: Outcome | None, *, steps: int = 2, resumed=None, known=()
    ):
        """A run with a test split, evaluated after each step."""
        writer = TensorBoardWriter(self.folder / name / "summaries", resumed=resumed)
        writer.write_hparams(settings, ("train", "test"), known)
        for step in range(1 + (resumed.step if resumed else 0), steps + 1):
            writer.write_steps([{"step": step, "epoch": step, **LOSSES}])
            writer.write_evaluation(
                {
                    "step": step,
                    "epoch": step,
                    "split": "test",
                    "weights": "raw",
                    "accuracy": step / 10,
                    **LOSSES,
                }
            )
        writer.close(outcome)

    def test_settings_in_which_runs_differ_come_first_and_no_cell_is_blank(self):
        self.run_once(
            "a/one",
            {"activation": "relu", "batch_size": None, "seed": 0, "clip_norm": None},
            Outcome.COMPLETED,
        )
        self.run_once(
            "b/one", {"activation": "relu", "batch_size": 64, "seed": 1, "clip_norm": 0.5}, Outcome.COMPLETED
        )
        found = tab(self.folder)
        self.assertEqual(["batch_size", "clip_norm", "seed", "activation"], found.settings)
        first = {"activation": "relu", "batch_size": "full", "seed": 0, "clip_norm": "none"}
        self.assertEqual(first, found.rows["a/one"][0])
        figures = {"test_accuracy", "test_loss", "test_cross_entropy", "train_loss", "train_cross_entropy"}
        self.assertEqual({f"results/{figure}" for figure in figures}, found.figures)
        for settings, measured, status in found.rows.values():
            self.assertEqual((set(found.settings), found.figures), (set(settings), set(measured)))
            self.assertEqual(api_pb2.STATUS_SUCCESS, status)
        self.assertAlmostEqual(0.2, found.rows["b/one"][1]["results/test_accuracy"])

    def test_a_figure_that_no_run_measures_is_no_column(self):
        self.run_once("a/one", {"seed": 0}, Outcome.COMPLETED)
        self.assertFalse({figure for figure in tab(self.folder).figures if "validation" in figure})

    def test_a_run_that_failed_before_it_was_evaluated_has_nan(self):
        self.run_once("a/one", {"seed": 0}, Outcome.COMPLETED)
        self.run_once("a/two", {"seed": 1}, Outcome.NON_FINITE, steps=0)
        found = tab(self.folder)
        _, measured, status = found.rows["a/two"]
        self.assertEqual(api_pb2.STATUS_FAILURE, status)
        self.assertEqual(found.figures, set(measured))
        self.assertTrue(all(math.isnan(value) for value in measured.values()))

    def test_an_interrupted_run_has_not_ended(self):
        self.run_once("a/one", {"seed": 0}, Outcome.INTERRUPTED)
        self.assertEqual(api_pb2.STATUS_UNKNOWN, tab(self.folder).rows["a/one"][2])

    def test_a_run_that_goes_on_has_its_new_settings_and_its_old_results_until_there_are_others(self):
        self.run_once("a/one", {"epochs": 2}, Outcome.COMPLETED)
        known = [("train", {"step": 2, "loss": 0.5}), ("test", {"step": 2, "loss": 0.5, "accuracy": 0.2})]
        resumed = Position(step=2, epoch=2)
        self.run_once("a/one", {"epochs": 4}, Outcome.INTERRUPTED, resumed=resumed, known=known)
        settings, measured, status = tab(self.folder).rows["a/one"]
        self.assertEqual(({"epochs": 4}, api_pb2.STATUS_UNKNOWN), (settings, status))
        self.assertAlmostEqual(0.2, measured["results/test_accuracy"])

    def test_a_runs_own_folder_has_its_figures_too(self):
        self.run_once("a/one", {"seed": 0}, Outcome.COMPLETED)
        ((_, measured, _),) = tab(self.folder / "a" / "one" / "summaries").rows.values()
        self.assertAlmostEqual(0.2, measured["results/test_accuracy"])


if __name__ == "__main__":
    unittest.main()
