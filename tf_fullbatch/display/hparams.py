"""TensorBoard's HParams tab: the settings and results by which it compares runs.

Each run says its own settings and results and nothing of columns: TensorBoard then has those of all runs it sees,
settings in which they differ first. (Columns named by a run would hide what the other runs have besides.)
"""

import json
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, summary_v2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.errors import Outcome

RUN = "results"
"""The subfolder whose scalars are the tab's columns of results: all of them, so nothing else goes there."""

COMPARED = {
    "train": ("loss", "cross_entropy"),
    "validation": ("accuracy", "loss", "cross_entropy"),
    "test": ("accuracy", "loss", "cross_entropy"),
    NOISY: ("accuracy",),
    CLEAN: ("accuracy",),
}
"""Run -> figures that are compared."""


def session_summary(hparams: Mapping[str, Any], trial: str, now: float) -> Summary:
    """The settings of a run, a row of the tab.

    Args:
        hparams: Name of a setting to its value. None shows as the flag says it ("none", "full"), lists as JSON.
        trial: A name no other run has: runs of one name are shown as one.
        now: Seconds since 1970.
    """
    words = {field.name: field.metadata["none_word"] for _, field in settings_fields()}
    values = {name: _hparam(value, words.get(name, "none")) for name, value in hparams.items()}
    return summary_v2.hparams_pb(values, trial_id=trial, start_time_secs=now)


def end_summary(outcome: Outcome, now: float) -> Summary:
    """How a run ended, by which the tab filters; nothing of one that goes on later."""
    if outcome in (Outcome.INTERRUPTED, Outcome.WORKER_LOST):
        return Summary()
    status = api_pb2.STATUS_SUCCESS if outcome.is_finished else api_pb2.STATUS_FAILURE
    end = SessionEndInfo(status=status, end_time_secs=now)
    summary = Summary()
    # summary.session_end_pb would load TensorFlow.
    described = metadata.create_summary_metadata(HParamsPluginData(session_end_info=end))
    summary.value.add(tag=metadata.SESSION_END_INFO_TAG, metadata=described, tensor=metadata.NULL_TENSOR)
    return summary


def result_tag(run: str, figure: str) -> str:
    """The column of a measured figure, such as "results/test_accuracy"."""
    return f"results/{run}_{figure}"


def _hparam(value: Any, none_word: str) -> bool | float | str:
    if isinstance(value, bool | int | float | str) and value != "":
        return value
    if value in (None, "", (), []):
        return none_word
    return json.dumps(value, default=str)
