"""From raw times to figures: medians of seconds and of ratios taken within one round."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

BARE_LOOP = "bare loop"


class Configuration(NamedTuple):
    """One thing that is timed.

    Attributes:
        dtype_policy: Precision.
        jit_compile: Whether XLA compiles a micro-batch's gradient.
        contestant: A penalty of the full-batch step, or `BARE_LOOP`.
    """

    dtype_policy: str
    jit_compile: bool
    contestant: str


class Figures(NamedTuple):
    """What the times of one configuration come to; a ratio is None where its reference was not timed.

    Attributes:
        seconds: Median seconds a step.
        images_per_second: Samples a step over `seconds`.
        to_bare_loop: Median over the rounds of seconds / seconds of the bare loop, same precision.
        to_no_penalty: Median over the rounds of seconds / seconds without a penalty, same precision.
        speed_up: Median over the rounds of seconds of the same in float32 / seconds.
    """

    seconds: float
    images_per_second: float
    to_bare_loop: float | None
    to_no_penalty: float | None
    speed_up: float | None


def figures(seconds: Mapping[Configuration, Sequence[float]], samples: int) -> dict[Configuration, Figures]:
    """Medians and ratios of every configuration.

    A ratio is taken between two times of the same round, which lie close together, and only then the median:
    a machine that grows slower over the rounds does not distort it.

    Args:
        seconds: Times of each configuration, one a round, the same number for all.
        samples: Samples a step.

    Raises:
        ValueError: Configurations with different numbers of times, or without any.
    """
    counts = {len(times) for times in seconds.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"Every configuration needs one time a round, but there are {sorted(counts)}.")
    results = {}
    for configuration, times in seconds.items():
        median = statistics.median(times)
        bare = seconds.get(configuration._replace(contestant=BARE_LOOP))
        plain = seconds.get(configuration._replace(contestant="none"))
        float32 = seconds.get(configuration._replace(dtype_policy="float32"))
        results[configuration] = Figures(
            seconds=median,
            images_per_second=samples / median,
            to_bare_loop=median_ratio(times, bare),
            to_no_penalty=None if configuration.contestant == BARE_LOOP else median_ratio(times, plain),
            speed_up=None if float32 is None else median_ratio(float32, times),
        )
    return results


def median_ratio(times: Sequence[float], reference: Sequence[float] | None) -> float | None:
    """The median over rounds of `times[r] / reference[r]`; None without a reference."""
    if reference is None:
        return None
    return statistics.median(t / r for t, r in zip(times, reference, strict=True))
