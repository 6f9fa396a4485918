"""TensorBoard's HParams tab: the settings and results by which it compares runs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams_plugin

_RESULT_GROUP = "5 results"


def experiment_summary(hparams: Iterable[str], metrics: Iterable[tuple[str, str]]) -> Summary:
    """The columns of the tab.

    TensorBoard takes those of any one run below its log directory, so runs to be compared are given the same.

    Args:
        hparams: Names of settings; the tab sorts them.
        metrics: Pairs of a run (`train`, `validation`, `test`, `validation-ema`, `test-ema`) and a key of
            `tensorboard.STEP_TAGS`.
    """
    columns = [
        hparams_plugin.Metric(result_tag(run, key), display_name=f"{run} {key.replace('_', ' ')}")
        for run, key in metrics
    ]
    return hparams_plugin.hparams_config_pb(
        hparams=[hparams_plugin.HParam(name) for name in hparams], metrics=columns
    )


def session_summary(hparams: Mapping[str, Any], trial: str, now: float) -> Summary:
    """The settings of a run, a row of the tab.

    Args:
        hparams: Name to value. None and empty values show as "-", lists and dictionaries as JSON.
        trial: A name no other run has: runs of one name are shown as one.
        now: Seconds since 1970.
    """
    values = {name: _hparam(value) for name, value in hparams.items()}
    return hparams_plugin.hparams_pb(values, trial_id=trial, start_time_secs=now)


def result_tag(run: str, key: str) -> str:
    """Where a run's measured value for the tab stands, such as "5 results/test accuracy"."""
    return f"{_RESULT_GROUP}/{run} {key.replace('_', ' ')}"


def _hparam(value: Any) -> bool | float | str:
    if isinstance(value, bool | int | float | str) and value != "":
        return value
    if value in (None, ""):
        return "-"
    return json.dumps(value, default=str)
