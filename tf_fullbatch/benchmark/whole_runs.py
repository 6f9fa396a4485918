"""What surrounds a step: data of the user's own beside built-in ones, and a report of many runs."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_fullbatch.benchmark import timing
from tf_fullbatch.benchmark.loops import timed
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Passes, Progress
from tf_fullbatch.config.run import Config
from tf_fullbatch.display.text import format_table
from tf_fullbatch.errors import RunError
from tf_fullbatch.records.files import write_json
from tf_fullbatch.run import build
from tf_fullbatch.run.devices import choose_strategy
from tf_fullbatch.run.splits import load_splits, training_batches

BUILT_IN, OWN = "built-in data", "own arrays"
_SEEDS = 3


def own_arrays(options: Options, progress: Progress) -> dict[str, Any]:
    """Full-batch passes of `mlp` over the digits, built in and out of an .npz, in turn.

    Returns:
        `seconds` per pass of each, one per round, and `ratio` (median, least, largest) of own arrays to built-in ones.
    """
    config = Config().replacing(model="mlp", micro_batch_size=128, epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        train = load_splits(config).train
        np.savez(f"{folder}/digits.npz", inputs=train.inputs, targets=train.targets)
        own = config.replacing(dataset=f"{folder}/digits.npz")
        sides = {BUILT_IN: passes_of(config), OWN: passes_of(own)}
        found = timing.seconds_of(timing.measure(sides, options.repeats, progress, options.seconds))
    return {"seconds": found, "ratio": timing.spread(timing.ratios(found[OWN], found[BUILT_IN]))._asdict()}


def passes_of(config: Config) -> Passes:
    """`fit` of the model that a run of these settings trains."""
    parts = build.assemble(config, choose_strategy(config.runtime))
    batches = training_batches(config, parts.splits.train)
    return timed(lambda passes: parts.model.fit(batches, epochs=passes, verbose=0))


def own_arrays_table(result: Mapping[str, Any]) -> str:
    """`own_arrays` as a table."""
    milliseconds = [1000 * statistics.median(result["seconds"][side]) for side in (OWN, BUILT_IN)]
    cells = [
        *(f"{value:.4g}" for value in milliseconds),
        *(f"{value:.3f}" for value in result["ratio"].values()),
    ]
    return format_table(
        ["ms/pass, own arrays", "built-in", "ratio", "least", "largest", "wanted"],
        [[*cells, "<= 1.02"]],
        ">" * 6,
    )


def report_seconds(options: Options, progress: Progress) -> list[dict[str, Any]]:
    """Seconds of the command that reports on so many runs: copies of one, in arms of three seeds.

    Raises:
        RunError: The run or its report failed.
    """
    results = []
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        _command(
            "main", "--model=mlp", "--epochs=100", "--train_size=200", "--quiet", f"--output_dir={first}"
        )
        for count in options.report_runs:
            runs = Path(folder) / f"runs_{count}"
            for i in range(count):
                _copy(first, runs / f"arm{i // _SEEDS:03d}" / f"seed-{i % _SEEDS}", i // _SEEDS, i % _SEEDS)
            started = time.perf_counter()
            _command("report", str(runs))
            results.append({"runs": count, "seconds": time.perf_counter() - started})
            progress(f"report of {count} runs: {results[-1]['seconds']:.1f} s")
    return results


def report_table(results: list[dict[str, Any]]) -> str:
    """`report_seconds` as a table."""
    rows = [(r["runs"], f"{r['seconds']:.1f}") for r in results]
    return format_table(["runs", "s to the report"], rows, ">>")


def _copy(run: Path, folder: Path, arm: int, seed: int) -> None:
    """A run's records, as those of another learning rate and seed."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints", "summaries", "model.keras"))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings["optimizer"]["learning_rate"] = 0.01 * (arm + 1)
    settings["step"]["seed"] = seed
    write_json(folder / "config.json", settings)


def _command(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tf_fullbatch.{name}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunError(f"{name} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
