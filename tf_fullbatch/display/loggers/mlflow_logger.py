"""--loggers=mlflow: MLflow, in a database in the run's folder unless MLFLOW_TRACKING_URI says otherwise."""

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.display.loggers.base import LoggedRun, Logger
from tf_fullbatch.errors import Outcome

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SECONDS = 2.0
_MOST_METRICS, _MOST_PARAMS = 1000, 100
"""What MLflow takes at once."""

_UNLESS_SET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that is away is not waited for by the minute: training goes on without it.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class MlflowLogger(Logger):
    """A run of MLflow's: settings as its params, figures as its metrics.

    The experiment is MLFLOW_EXPERIMENT_NAME, or tf_fullbatch. A param that a resumed run has changed (a larger
    `epochs`) becomes a tag of the same name, since params stay. The store is an SQLite database (since 3.10
    MLflow keeps no plain files any more), `RUN/mlflow/mlflow.db`.
    """

    summary: ClassVar[str] = "MLflow"
    packages: ClassVar[tuple[str, ...]] = ("mlflow", "sqlalchemy", "alembic")

    def begin(self, run: LoggedRun, known_id: str | None) -> str:
        for name, value in _UNLESS_SET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # they tell of every table they make
            logging.getLogger(name).setLevel(logging.WARNING)
        self._waiting: list[tuple[int, int, Mapping[str, float]]] = []
        self._sent_at = time.monotonic()
        if "MLFLOW_TRACKING_URI" in os.environ:
            self._client, artifacts = MlflowClient(), None
        else:
            store = (run.folder / "mlflow").resolve()
            store.mkdir(exist_ok=True)
            self._client = MlflowClient(f"sqlite:///{store / 'mlflow.db'}")
            artifacts = (store / "artifacts").as_uri()
        if known_id is None:
            experiment = _experiment(self._client, artifacts)
            self._id = self._client.create_run(experiment, run_name=run.name).info.run_id
        else:
            self._id = known_id
            self._client.update_run(known_id, status="RUNNING")
        self._write_settings(run.settings)
        return self._id

    def _write_settings(self, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param, RunTag

        known = self._client.get_run(self._id).data.params
        texts = {name: str(value) for name, value in settings.items()}
        new = [Param(name, text) for name, text in texts.items() if name not in known]
        for first in range(0, len(new), _MOST_PARAMS):
            self._client.log_batch(self._id, params=new[first : first + _MOST_PARAMS])
        changed = [RunTag(name, text) for name, text in texts.items() if known.get(name, text) != text]
        self._client.log_batch(self._id, tags=changed)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._waiting.append((step, int(1000 * time.time()), values))
        if time.monotonic() - self._sent_at >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        from mlflow.entities import Metric

        waiting, self._waiting = self._waiting, []
        metrics = [
            Metric(name, value, when, step)
            for step, when, values in waiting
            for name, value in values.items()
        ]
        for first in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(self._id, metrics=metrics[first : first + _MOST_METRICS])
        self._sent_at = time.monotonic()

    def finish(self, outcome: Outcome | None) -> None:
        status = "FAILED"
        if outcome is not None:
            self._client.set_tag(self._id, "outcome", outcome.name)
            killed = outcome in (Outcome.INTERRUPTED, Outcome.WORKER_LOST)
            status = "FINISHED" if outcome.is_finished else "KILLED" if killed else status
        self._client.set_terminated(self._id, status)


def _experiment(client: "MlflowClient", artifacts: str | None) -> str:
    """The experiment's id; made where there is none, also where runs side by side do."""
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tf_fullbatch")
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    try:
        return client.create_experiment(name, artifact_location=artifacts)
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id
