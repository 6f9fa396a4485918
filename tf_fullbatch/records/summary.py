"""summary.json: how a run ended, its final and best figures, and where they came from."""

import importlib.metadata
import math
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.data.controls.settings import CLEAN, NOISY
from tf_fullbatch.errors import Outcome, UserError
from tf_fullbatch.records.columns import Record
from tf_fullbatch.records.files import read_json
from tf_fullbatch.records.goals import Reached
from tf_fullbatch.records.measured import measuring_summary
from tf_fullbatch.version import __version__

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
MEASURED = ("loss", "cross_entropy", "accuracy")
"""What is measured on a split; see `records.columns`."""
_PACKAGES = ("tensorflow", "keras", "numpy")


_KINDS: dict[str, type] = {"outcome": str, "message": str, "steps": int, "device": str, "versions": dict}


def read_summary(path: str | Path) -> dict[str, Any]:
    """What summary.json says, in which at least how the run ended, its steps, device and versions are there.

    Raises:
        UserError: It is missing, damaged or of another version.
    """
    content = read_json(path)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version!r}, this tf_fullbatch reads {FORMAT_VERSION}: its device and versions "
            "are not shown."
        )
    if any(not isinstance(content.get(name), kind) for name, kind in _KINDS.items()):
        raise UserError(f"{path} is damaged: its device and versions are not shown.")
    return content


def run_summary(
    *,
    outcome: Outcome,
    metrics: "pd.DataFrame",
    evaluations: "pd.DataFrame",
    measurements: "pd.DataFrame | None" = None,
    output_dir: str | Path,
    device: str,
    message: str = "",
    reached: Reached | None = None,
    search: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The dictionary written to summary.json.

    Args:
        outcome: How the run ended.
        metrics: metrics.csv, whole.
        evaluations: evaluations.csv, whole.
        measurements: measurements.csv, whole; None for none.
        output_dir: The run's folder.
        device: What it ran on, in words, such as "2 x NVIDIA H200".
        message: The sentence about the end; by default the outcome's own.
        reached: The goal that ended it, if one did.
        search: What the method counts of its searches; None of one that does not search.

    Returns:
        `format_version`; `outcome` (name) and `message`; `goal`, which was reached by what, where one ended
        it; `steps`, `epochs`, `samples_seen` and `wall_seconds` of the last step; `images_per_second`, the median
        over the steps but the first of the rows; `final`: `train` (loss, cross-entropy and accuracy of the last
        step, at the weights before its update) and, for `validation` and `test`, the last evaluation of each kind of
        weights; `best`, see `best_evaluation`; `measuring`, see `measuring_summary`, where something was measured;
        `search`; `device`, `versions`, `git_revision`, `output_dir`. Absent figures are None or an empty dictionary.
    """
    measured = metrics.dropna(axis="columns", how="all")
    last = measured[-1:].to_dict("records")[0] if len(metrics) else {}
    speeds = metrics["images_per_second"]
    speed = (speeds[1:] if len(speeds) > 1 else speeds).median()  # the first step of the rows compiles
    measuring = None if measurements is None else measuring_summary(measurements, metrics)
    return {
        "format_version": FORMAT_VERSION,
        "outcome": outcome.name,
        "message": message or outcome.value,
        **({} if reached is None else {"goal": reached._asdict()}),
        "steps": last.get("step", 0),
        "epochs": last.get("epoch", 0.0),
        "samples_seen": last.get("samples_seen", 0),
        "wall_seconds": last.get("wall_seconds", 0.0),
        "images_per_second": speed if speed == speed else None,
        "final": {
            "train": _figures(last, "step", *MEASURED),
            "validation": _last_of_split(evaluations, "validation"),
            "test": _last_of_split(evaluations, "test"),
            **{split: found for split in (NOISY, CLEAN) if (found := _last_of_split(evaluations, split))},
        },
        "best": best_evaluation(evaluations),
        **({} if measuring is None else {"measuring": measuring}),
        **({} if search is None else {"search": dict(search)}),
        "device": device,
        "versions": versions(),
        "git_revision": git_revision(Path(__file__).parent),
        "output_dir": str(output_dir),
    }


def ended_before_its_passes(summary: Mapping[str, Any], goals: Mapping[str, float]) -> bool:
    """Whether a run has nothing left to do though it may lack passes: it has converged, or its goal is still one.

    Args:
        summary: What summary.json says; empty for none.
        goals: The goals that it has now, with their limits.
    """
    if summary.get("outcome") == Outcome.STOPPED_BY_GOAL.name:
        goal = summary.get("goal")
        return isinstance(goal, Mapping) and goals.get(str(goal.get("name"))) == goal.get("limit")
    return summary.get("outcome") == Outcome.CONVERGED.name


def best_evaluation(evaluations: "pd.DataFrame") -> dict[str, Any] | None:
    """The evaluation that validation would choose; the test split never chooses.

    Returns:
        None without a finite validation figure; else `step`, `epoch` and `weights` of the highest validation
        accuracy (on a tie the lower loss, then the earlier step; by the loss alone where accuracy has no meaning), its
        figures as `validation`, and as `test` those of the same step and weights, None where the test split was not
        evaluated then.
    """
    candidates = [row for row in _rows(evaluations) if row["split"] == "validation" and is_ranked(row)]
    if not candidates:
        return None
    best = min(candidates, key=validation_rank)
    same = (evaluations["step"] == best["step"]) & (evaluations["weights"] == best["weights"])
    tests = _rows(evaluations[same & (evaluations["split"] == "test")])
    return {
        **_figures(best, "step", "epoch", "weights"),
        "validation": _figures(best, *MEASURED, "samples"),
        "test": _figures(tests[-1], *MEASURED, "samples") if tests else None,
    }


def validation_rank(row: Record) -> tuple[float, float, float]:
    """Orders evaluations of the validation split, the best first: by accuracy, if any, then loss, then step."""
    accuracy = _number(row, "accuracy")
    return 0.0 if accuracy == math.inf else -accuracy, _number(row, "loss"), _number(row, "step")


def is_ranked(row: Record) -> bool:
    """Whether an evaluation can be the best: its accuracy or, where that has no meaning, its loss is finite."""
    deciding = "loss" if row.get("accuracy") is None else "accuracy"
    return math.isfinite(_number(row, deciding))


def versions() -> dict[str, str | None]:
    """Versions of Python, this package and those that decide results; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "tf-fullbatch": __version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_revision(folder: str | Path) -> str | None:
    """The commit checked out in `folder`, with "-modified" where tracked files differ; None outside git."""
    head = _git(folder, "rev-parse", "HEAD")
    # An installed package inside somebody else's repository is not described by that repository's commit.
    if not head or not _git(folder, "ls-files", "--", "."):
        return None
    return head + ("-modified" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: str | Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _number(row: Record, name: str) -> float:
    value = row.get(name)
    return math.inf if value is None or value != value else float(value)


def _figures(row: Record, *names: str) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}


def _rows(evaluations: "pd.DataFrame") -> list[dict[str, Any]]:
    """Rows as dictionaries, without figures that have no meaning; there always is a loss, but nan is blank."""
    return evaluations.loc[:, evaluations.notna().any() | (evaluations.columns == "loss")].to_dict("records")


def _last_of_split(evaluations: "pd.DataFrame", split: str) -> dict[str, dict[str, Any]]:
    rows = evaluations[evaluations["split"] == split]
    return {str(row["weights"]): _figures(row, "step", *MEASURED, "samples") for row in _rows(rows)}
