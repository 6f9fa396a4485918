"""--suite=scaling: what the cost model of clusters says of sums and steps over replicas, beside what is measured here.

Micro-batches wait instead of computing (`waiting`), since replicas beyond the cores of this machine cannot compute at
once. The model is told what one replica takes, and how fast two exchange vectors; everything of three and four is
foretold.
"""

import dataclasses
import os
import signal
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tf_fullbatch.benchmark import fresh_process
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Progress
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.display.text import format_table
from tf_fullbatch.run import processes
from tf_fullbatch.run.local_cluster import cluster_configs, free_ports
from tf_fullbatch.scaling import all_reduce, stragglers
from tf_fullbatch.scaling.all_reduce import Link

NUMBERS = (10_000, 1_000_000, 4_000_000)
MICRO_BATCHES = (6, 12)
WAIT_SECONDS = 0.05
SPREAD = 0.3
KINDS = ("replicas", "workers")
"""Logical CPUs of one process, or processes with one each."""
MEMBERS = (1, 2, 3, 4)

COLUMNS = ("what", "of", "numbers", "measured", "least", "largest", "model", "measured / model")
_TIMEOUT = 600.0
_ENVIRONMENT = {"TF_NUM_INTEROP_THREADS": "16", "TF_NUM_INTRAOP_THREADS": "1"}


class Place(NamedTuple):
    """Where steps run.

    Attributes:
        kind: One of `KINDS`.
        members: How many replicas.
    """

    kind: str
    members: int

    def __str__(self) -> str:
        return f"{self.members} {self.kind if self.members > 1 else self.kind[:-1]}"


@dataclasses.dataclass(frozen=True, slots=True)
class Alone:
    """What one replica takes.

    Attributes:
        micro_batch: Size of the vector -> seconds of a micro-batch.
        overhead: Size of the vector -> seconds of a step beside its micro-batches.
        exchange: Size of the vector -> seconds of an update alone.
    """

    micro_batch: Mapping[int, float]
    overhead: Mapping[int, float]
    exchange: Mapping[int, float]


def measure(options: Options, progress: Progress) -> dict[str, Any]:
    """`timings`, all that came, and `rows`, see `rows`."""
    places = [Place(kind, members) for kind in KINDS for members in MEMBERS]
    timings: dict[Place, list[dict[str, Any]]] = {place: [] for place in places}
    for round_ in range(options.repeats):
        for place in places:
            progress(f"round {round_ + 1} of {options.repeats}: {place}")
            timings[place].append(_measured(place))
    merged = {place: _merged(of_one) for place, of_one in timings.items()}
    return {
        "timings": {str(place): found for place, found in merged.items()},
        "rows": rows(merged),
    }


def rows(timings: Mapping[Place, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was measured beside what the model says, of every place with more than one replica.

    Args:
        timings: Place -> what `waiting.waiting` gives, with sizes and numbers of micro-batches as whole numbers.

    Returns:
        Rows of `what` ("exchange", "step", "varying step"), `of`, `numbers`, `seconds` (`median`, `least`, `largest`;
        of varying steps the mean), `model`, and `fitted`: whether the model was told this figure.
    """
    found = []
    for place, measured in timings.items():
        if place.members == 1:
            continue
        alone = alone_of(timings[Place(place.kind, 1)])
        link = link_of(timings[Place(place.kind, 2)]["exchange"], alone)
        for numbers, seconds in measured["exchange"].items():
            model = alone.exchange[numbers] + _exchange(place, numbers, link)
            found.append(_row("exchange", place, numbers, seconds, model, fitted=place.members == 2))
        most = max(MICRO_BATCHES)
        for numbers, by_count in measured["step"].items():
            rest = alone.overhead[numbers] + _exchange(place, numbers, link)
            model = pieces(most, place.members) * alone.micro_batch[numbers] + rest
            found.append(_row("step", place, numbers, by_count[most], model, fitted=False))
        least = min(measured["step"])
        rounds = pieces(most, place.members)
        late = stragglers.slowest(stragglers.groups(most, place.members), SPREAD) - rounds
        rest = alone.overhead[least] + _exchange(place, least, link)
        # The wait varies, and the rest of a micro-batch does not.
        model = rounds * alone.micro_batch[least] + late * WAIT_SECONDS + rest
        found.append(_row("varying step", place, least, measured["varying"], model, fitted=False))
    return found


def alone_of(measured: Mapping[str, Any]) -> Alone:
    """What one replica takes: a micro-batch, by how much longer steps of many take than those of few, and the rest."""
    few, many = MICRO_BATCHES
    micro_batch, overhead = {}, {}
    for numbers, by_count in measured["step"].items():
        short, long = (statistics.median(by_count[count]) for count in (few, many))
        micro_batch[numbers] = (long - short) / (many - few)
        overhead[numbers] = long - many * micro_batch[numbers]
    exchange = {numbers: statistics.median(seconds) for numbers, seconds in measured["exchange"].items()}
    return Alone(micro_batch, overhead, exchange)


def link_of(exchange: Mapping[int, Sequence[float]], alone: Alone) -> Link:
    """Bandwidth and latency of the medium between two, by what their exchanges take beyond an update.

    Of two, star and ring are alike on one medium: `2 B / b + 2 l`. The fit is that of least relative squares.
    """
    sizes = np.array([4.0 * numbers for numbers in exchange])
    beyond = np.array([statistics.median(s) - alone.exchange[numbers] for numbers, s in exchange.items()])
    beyond = np.maximum(beyond, 1e-6)
    inverse, latency = np.linalg.lstsq(
        np.stack([2 * sizes, np.full_like(sizes, 2.0)], axis=1) / beyond[:, None],
        np.ones_like(sizes),
        rcond=None,
    )[0]
    return Link(1 / max(float(inverse), 1e-15), max(float(latency), 0.0), shared=True)


def _exchange(place: Place, numbers: int, link: Link) -> float:
    pattern = all_reduce.star if place.kind == "replicas" else all_reduce.ring
    return pattern(place.members, 4.0 * numbers, link)


def _row(
    what: str, place: Place, numbers: int, seconds: Sequence[float], model: float, *, fitted: bool
) -> dict[str, Any]:
    middle = statistics.mean(seconds) if what == "varying step" else statistics.median(seconds)
    return {
        "what": what,
        "of": str(place),
        "numbers": numbers,
        "seconds": {"median": middle, "least": min(seconds), "largest": max(seconds)},
        "model": model,
        "fitted": fitted,
    }


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """`rows` as a table, in milliseconds."""
    cells = [
        (
            r["what"],
            r["of"],
            f"{r['numbers']:,}",
            *(f"{1000 * r['seconds'][name]:.4g}" for name in ("median", "least", "largest")),
            f"{1000 * r['model']:.4g}" + (" (fitted)" if r["fitted"] else ""),
            f"{r['seconds']['median'] / r['model']:.2f}",
        )
        for r in found
    ]
    return format_table(COLUMNS, cells, "<<" + ">" * (len(COLUMNS) - 2))


def _measured(place: Place) -> dict[str, Any]:
    """What `waiting.waiting` gives in a process, or in one per worker."""
    arguments = {
        "replicas": place.members if place.kind == "replicas" else 0,
        "numbers": NUMBERS,
        "micro_batches": MICRO_BATCHES,
        "seconds": WAIT_SECONDS,
        "spread": SPREAD,
        "repeats": 5,
    }
    if place.kind == "replicas":
        return fresh_process.call("waiting", arguments, environment=_ENVIRONMENT, timeout=_TIMEOUT)
    first, *others = cluster_configs(free_ports(place.members))
    started = [
        processes.start(
            fresh_process.command("waiting", arguments),
            {**_ENVIRONMENT, "TF_CONFIG": config},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for config in others
    ]
    try:
        environment = {**_ENVIRONMENT, "TF_CONFIG": first}
        return fresh_process.call("waiting", arguments, environment=environment, timeout=_TIMEOUT)
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _merged(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All timings of some rounds together; keys as whole numbers, which JSON has as text."""
    first = rounds[0]
    return {
        "exchange": {int(n): [s for r in rounds for s in r["exchange"][n]] for n in first["exchange"]},
        "step": {
            int(n): {int(k): [s for r in rounds for s in r["step"][n][k]] for k in by_count}
            for n, by_count in first["step"].items()
        },
        "varying": [s for r in rounds for s in r["varying"]],
    }
