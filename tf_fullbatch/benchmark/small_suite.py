"""--suite=small: this package's `fit` beside loops written by hand and stock Keras, in one process."""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark import loops, timing, workloads
from tf_fullbatch.benchmark.comparisons import SMALL, Comparison
from tf_fullbatch.benchmark.loops import Maker
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import RunError
from tf_fullbatch.records.columns import STEP_COLUMNS
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.run.devices import precision

OURS = "tf_fullbatch"
COLUMNS = ("row", "steps", "ms/step", "reference", "ms/step ", "ratio", "least", "largest", "wanted")
REFERENCES: dict[str, Maker] = {
    "compiled loop": loops.compiled_loop,
    "Keras fit": loops.keras_fit,
    "bare loop": loops.bare_loop,
}
"""What a `Comparison` compares with: name -> maker of its passes."""


def measure(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """The rows asked for, see `result`; ours and the reference in turn."""
    rows = []
    for name, comparison in SMALL.items():
        if name in options.rows or not options.rows:
            work = comparison.work
            with precision(work.dtype_policy):
                data = workloads.random_data(work)
                makers = {OURS: loops.full_batch_fit, comparison.reference: REFERENCES[comparison.reference]}
                timed = {side: make(workloads.network(work), work, data) for side, make in makers.items()}
                progress(f"{name}: {work}")
                timings = timing.measure(timed, options.repeats, progress, options.seconds)
            rows.append(result(name, comparison, timing.seconds_of(timings)))
    return rows


def result(name: str, comparison: Comparison, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """One row's figures.

    Args:
        name: The row's name.
        comparison: What was compared.
        seconds: `OURS` and the reference -> seconds per pass, one per round.

    Returns:
        `row`, `reference`, `wanted`, `steps` of a pass; `ratio` (`median`, `least`, `largest` over the rounds of
        our seconds / the reference's); `seconds_per_step` and `reference_seconds_per_step`, medians; `seconds`,
        all that came.
    """
    ours, theirs = seconds[OURS], seconds[comparison.reference]
    steps = comparison.work.steps
    return {
        "row": name,
        "work": str(comparison.work),
        "reference": comparison.reference,
        "wanted": comparison.wanted,
        "steps": steps,
        "ratio": timing.spread(timing.ratios(ours, theirs))._asdict(),
        "seconds_per_step": statistics.median(ours) / steps,
        "reference_seconds_per_step": statistics.median(theirs) / steps,
        "seconds": {OURS: list(ours), comparison.reference: list(theirs)},
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`result`s as a table."""
    cells = [
        (
            r["row"],
            r["steps"],
            f"{1000 * r['seconds_per_step']:.4g}",
            r["reference"],
            f"{1000 * r['reference_seconds_per_step']:.4g}",
            *(f"{r['ratio'][key]:.3f}" for key in ("median", "least", "largest")),
            f"<= {r['wanted']:.3g}",
        )
        for r in rows
    ]
    return format_table(COLUMNS, cells, "<>><>>>>>")


def recorded_seconds_per_step(epochs: int = 20) -> float:
    """Seconds per step of SGD of `mlp` on the digits in a run of the command line, with all that it writes.

    Over all but the first of so many epochs, in which functions are compiled.

    Raises:
        RunError: The run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        flags = {
            "dataset": "digits",
            "model": "mlp",
            "batch_size": 32,
            "micro_batch_size": 32,
            "epochs": epochs,
            "evaluate_every": 10 * epochs,
            "output_dir": f"{folder}/run",
        }
        command = [sys.executable, "-m", "tf_fullbatch.main", "--shuffle"]
        command += [f"--{name}={value}" for name, value in flags.items()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RunError(
                f"{' '.join(command[1:])} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
            )
        table = read_table(RunFolder(f"{folder}/run").metrics, STEP_COLUMNS)
    later = table[table["epoch"] >= 1]
    first, last = later.iloc[0], later.iloc[-1]
    return float((last["wall_seconds"] - first["wall_seconds"]) / (last["step"] - first["step"]))
