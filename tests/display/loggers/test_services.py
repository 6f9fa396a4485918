"""Weights & Biases and MLflow: how they are called, with stand-ins; and the packages themselves, where they are."""

import importlib.util
import json
import os
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from tf_fullbatch.display.loggers.base import LoggedRun
from tf_fullbatch.display.loggers.mlflow_logger import MlflowLogger
from tf_fullbatch.display.loggers.registry import check_installed
from tf_fullbatch.display.loggers.wandb_logger import WandbLogger
from tf_fullbatch.errors import Outcome, UserError

_ENVIRONMENT = ("WANDB_", "MLFLOW_")


class ServiceTestCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.run_ = LoggedRun(folder=self.folder / "runs" / "one", settings={"seed": 3, "clip_norm": None})
        self.run_.folder.mkdir(parents=True)
        own = {name: value for name, value in os.environ.items() if not name.startswith(_ENVIRONMENT)}
        self.enterContext(mock.patch.dict(os.environ, own, clear=True))

    def stand_in(self, **modules: object) -> None:
        """Puts modules in the place of those that are installed, or not."""
        made = {}
        for name, contents in modules.items():
            module = ModuleType(name.replace("__", "."))
            vars(module).update(contents)
            made[module.__name__] = module
        self.enterContext(mock.patch.dict(sys.modules, made))


class WandbTest(ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wandb = mock.Mock()
        self.stand_in(wandb=vars(self.wandb) | {"init": self.wandb.init, "Settings": self.wandb.Settings})

    def test_offline_in_the_runs_folder_with_the_settings(self) -> None:
        identifier = WandbLogger().begin(self.run_, None)
        given = self.wandb.init.call_args.kwargs
        self.assertEqual(("offline", str(self.run_.folder)), (given["mode"], given["dir"]))
        self.assertEqual((identifier, "allow", "runs/one"), (given["id"], given["resume"], given["name"]))
        self.assertEqual({"seed": 3, "clip_norm": None}, given["config"])

    def test_the_environment_decides_the_mode_and_a_known_run_goes_on(self) -> None:
        os.environ["WANDB_MODE"] = "online"
        self.assertEqual("known", WandbLogger().begin(self.run_, "known"))
        given = self.wandb.init.call_args.kwargs
        self.assertEqual(("online", "known"), (given["mode"], given["id"]))

    def test_figures_and_the_end(self) -> None:
        logger = WandbLogger()
        logger.begin(self.run_, None)
        run = self.wandb.init.return_value
        run.summary = {}
        logger.log(4, {"train/loss": 0.5})
        logger.flush()
        run.log.assert_called_once_with({"step": 4, "train/loss": 0.5})
        for outcome, code in ((Outcome.COMPLETED, 0), (Outcome.NON_FINITE, 1), (None, 1)):
            logger.finish(outcome)
            self.assertEqual(code, run.finish.call_args.kwargs["exit_code"])
        self.assertEqual({"outcome": "NON_FINITE"}, run.summary)


class MlflowTest(ServiceTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.make = mock.Mock()
        self.client = self.make.return_value
        self.client.get_experiment_by_name.return_value = None
        self.client.create_run.return_value.info.run_id = "new"
        self.client.get_run.return_value.data.params = {}
        entity = {name: lambda *given: given for name in ("Metric", "Param", "RunTag")}
        self.stand_in(
            mlflow={"MlflowClient": self.make},
            mlflow__entities=entity,
            mlflow__exceptions={"MlflowException": RuntimeError},
        )

    def test_a_database_in_the_runs_folder(self) -> None:
        self.assertEqual("new", MlflowLogger().begin(self.run_, None))
        database = (self.run_.folder / "mlflow" / "mlflow.db").resolve()
        self.make.assert_called_once_with(f"sqlite:///{database}")
        self.assertEqual("true", os.environ["MLFLOW_DISABLE_TELEMETRY"])
        params = self.client.log_batch.call_args_list[0].kwargs["params"]
        self.assertEqual([("seed", "3"), ("clip_norm", "None")], params)

    def test_the_environment_decides_the_store(self) -> None:
        os.environ["MLFLOW_TRACKING_URI"] = "http://tracking"
        MlflowLogger().begin(self.run_, None)
        self.make.assert_called_once_with()
        self.assertFalse((self.run_.folder / "mlflow").exists())

    def test_a_known_run_goes_on_and_what_changed_is_a_tag(self) -> None:
        self.client.get_run.return_value.data.params = {"seed": "2", "clip_norm": "None"}
        self.assertEqual("known", MlflowLogger().begin(self.run_, "known"))
        self.client.create_run.assert_not_called()
        self.client.update_run.assert_called_once_with("known", status="RUNNING")
        self.client.log_batch.assert_called_once_with("known", tags=[("seed", "3")])

    def test_figures_go_in_portions_that_it_takes_and_the_end_has_its_status(self) -> None:
        logger = MlflowLogger()
        logger.begin(self.run_, None)
        self.client.log_batch.reset_mock()
        for step in range(1, 601):
            logger.log(step, {"train/loss": step / 2, "train/accuracy": 0.5})
        logger.flush()
        sent = [metric for call in self.client.log_batch.call_args_list for metric in call.kwargs["metrics"]]
        self.assertEqual(
            [(k, k / 2) for k in range(1, 601)], [(m[3], m[1]) for m in sent if m[0] == "train/loss"]
        )
        self.assertLessEqual(
            max(len(c.kwargs["metrics"]) for c in self.client.log_batch.call_args_list), 1000
        )
        ends = (
            (Outcome.COMPLETED, "FINISHED"),
            (Outcome.INTERRUPTED, "KILLED"),
            (Outcome.NON_FINITE, "FAILED"),
        )
        for outcome, status in (*ends, (None, "FAILED")):
            logger.finish(outcome)
            self.client.set_terminated.assert_called_with("new", status)


class InstalledTest(unittest.TestCase):
    def test_what_is_not_installed_is_refused_in_one_line(self) -> None:
        with (
            mock.patch.object(importlib.util, "find_spec", return_value=None),
            self.assertRaisesRegex(
                UserError, r"^--loggers=wandb: wandb is not installed\. pip install .*\[wandb\]"
            ),
        ):
            check_installed(["wandb"])
        check_installed([])


@pytest.mark.slow
class RealPackagesTest(ServiceTestCase):
    """What the packages themselves keep is what they were given, over a resume."""

    def need(self, name: str) -> None:
        try:
            check_installed([name])
        except UserError as error:
            self.skipTest(str(error))

    def log_twice(self, kind: type) -> str:
        first = kind()
        identifier = first.begin(self.run_, None)
        first.log(1, {"train/loss": 0.1, "train/accuracy": float("nan")})
        first.finish(Outcome.INTERRUPTED)
        time.sleep(1.1)  # W&B's folders are named by the second
        second = kind()
        self.assertEqual(identifier, second.begin(self.run_, identifier))
        second.log(2, {"train/loss": 0.2})
        second.flush()
        second.finish(Outcome.COMPLETED)
        return identifier

    def test_mlflow(self) -> None:
        self.need("mlflow")
        from mlflow import MlflowClient

        identifier = self.log_twice(MlflowLogger)
        client = MlflowClient(f"sqlite:///{self.run_.folder.resolve()}/mlflow/mlflow.db")
        history = client.get_metric_history(identifier, "train/loss")
        self.assertEqual([(1, 0.1), (2, 0.2)], [(point.step, point.value) for point in history])
        run = client.get_run(identifier)
        self.assertEqual(("FINISHED", "COMPLETED"), (run.info.status, run.data.tags["outcome"]))
        self.assertEqual({"seed": "3", "clip_norm": "None"}, run.data.params)

    def test_wandb(self) -> None:
        self.need("wandb")
        from wandb.proto.wandb_internal_pb2 import Record

        identifier = self.log_twice(WandbLogger)
        losses, ids, codes = [], set(), []
        for file in sorted(self.run_.folder.glob("wandb/offline-run-*/*.wandb")):
            for content in _wandb_records(file):
                record = Record.FromString(content)
                if record.HasField("history"):
                    items = {i.nested_key[0] or i.key: json.loads(i.value_json) for i in record.history.item}
                    losses.append((items["step"], items["train/loss"]))
                if record.HasField("run"):
                    ids.add(record.run.run_id)
                if record.HasField("exit"):
                    codes.append(record.exit.exit_code)
        self.assertEqual(([(1, 0.1), (2, 0.2)], {identifier}, [1, 0]), (losses, ids, codes))


def _wandb_records(path: Path) -> Iterator[bytes]:
    """W&B's file: 7 bytes, then LevelDB's log format (blocks of 32 KiB of records: checksum, length, kind, content)."""
    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield parts
            parts = b""


if __name__ == "__main__":
    unittest.main()
