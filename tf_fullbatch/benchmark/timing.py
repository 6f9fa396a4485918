"""The timing loop: timed passes in turn, round after round, in one machine's changing speed."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import tensorflow as tf

from tf_fullbatch.benchmark import device
from tf_fullbatch.errors import DeviceMemoryError

Passes = Callable[[int], float]
"""Makes so many passes over its data and returns their seconds, everything on the device finished."""
Progress = Callable[[str], None]
Name = TypeVar("Name")

_MOST_PASSES = 100


class Timing(NamedTuple):
    """One timing of some passes.

    Attributes:
        seconds: Wall clock per pass.
        cpu_seconds: Processor time per pass of all threads of this process, setting up the passes included.
        peak: See `device.peaks`.
    """

    seconds: float
    cpu_seconds: float
    peak: device.Peaks


class Spread(NamedTuple):
    """Median, least and largest of some figures."""

    median: float
    least: float
    largest: float


def measure(
    timed_passes: Mapping[Name, Passes],
    repeats: int,
    progress: Progress,
    seconds: float = 0.0,
    warm_up: bool = True,
) -> dict[Name, list[Timing]]:
    """Times everything once per round, in the order given, after a warm-up of each.

    Args:
        timed_passes: What is timed; `str` of a name is shown.
        repeats: Rounds.
        progress: Told each timing.
        seconds: About how long one timing takes: as many passes as a second warm-up says, 1 to 100; 0 for one
            pass and one warm-up.
        warm_up: Whether to; not where each timing is a process of its own, which warms up itself.

    Returns:
        One timing per round for each of them.

    Raises:
        DeviceMemoryError: The device ran out of memory.
    """
    passes = dict.fromkeys(timed_passes, 1)
    for name, run in timed_passes.items() if warm_up else ():
        progress(f"warm-up: {name}: {_timed(name, run, 1).seconds:.3g} s")
        if seconds:
            passes[name] = min(max(round(seconds / _timed(name, run, 1).seconds), 1), _MOST_PASSES)
    timings: dict[Name, list[Timing]] = {name: [] for name in timed_passes}
    for round_ in range(repeats):
        for name, run in timed_passes.items():
            timings[name].append(_timed(name, run, passes[name]))
            progress(f"round {round_ + 1} of {repeats}: {name}: {timings[name][-1].seconds:.4g} s")
    return timings


def seconds_of(timings: Mapping[Name, Sequence[Timing]]) -> dict[Name, list[float]]:
    """The wall clock per pass of every timing."""
    return {name: [timing.seconds for timing in of_one] for name, of_one in timings.items()}


def ratios(times: Sequence[float], reference: Sequence[float]) -> list[float]:
    """`times[r] / reference[r]` of every round r, which lie close together in time.

    A machine that grows slower over the rounds does not distort their median.
    """
    return [t / r for t, r in zip(times, reference, strict=True)]


def spread(values: Sequence[float]) -> Spread:
    """Median and extremes of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def _timed(name: object, run: Passes, passes: int) -> Timing:
    device.reset_peaks()
    cpu = time.process_time()
    try:
        seconds = run(passes)
    except tf.errors.ResourceExhaustedError as error:
        raise DeviceMemoryError(
            f"The device ran out of memory with {name}: lower --micro_batch_size."
        ) from error
    return Timing(seconds / passes, (time.process_time() - cpu) / passes, device.peaks())
