"""Failures and preemptions: how much longer a run takes, and how often to save it.

A run is made in segments of s seconds, each of which ends with a checkpoint; a failure loses the segment under way.
Failures come independently, on average every M seconds, also while the run starts again, which takes R.
"""

import math

from scipy.special import lambertw


def segment_seconds(segment: float, mtbf: float, restart: float) -> float:
    """Expected time of one segment with the failures within it, `M exp(R / M) (exp(s / M) - 1)`.

    Source: Daly 2006, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future Generation
    Computer Systems 22, the model of exponential failures.

    Args:
        segment: s, work and checkpoint.
        mtbf: M, of the whole cluster; infinite for no failures.
        restart: R.

    Returns:
        Seconds; infinite beyond all floats.
    """
    if math.isinf(mtbf):
        return segment
    try:
        return mtbf * math.exp(restart / mtbf) * math.expm1(segment / mtbf)
    except OverflowError:
        return math.inf


def slowdown(steps: int, step: float, checkpoint: float, mtbf: float, restart: float) -> float:
    """Expected time over time without checkpoints and failures, of a run that saves every so many steps.

    Args:
        steps: Steps between checkpoints, at least 1: a step is what is lost or kept whole.
        step: Seconds of a step.
        checkpoint: Seconds of a checkpoint.
        mtbf: See `segment_seconds`.
        restart: See `segment_seconds`.
    """
    return segment_seconds(steps * step + checkpoint, mtbf, restart) / (steps * step)


def young(checkpoint: float, mtbf: float) -> float:
    """The best work between checkpoints where failures are rare, `sqrt(2 C M)`.

    Source: Young 1974, "A first order approximation to the optimum checkpoint interval", CACM 17.
    """
    return math.sqrt(2 * checkpoint * mtbf)


def best_interval(checkpoint: float, mtbf: float) -> float:
    """The best work between checkpoints of Daly's model, `M (1 + W(-exp(-1 - C / M)))`, W being Lambert's function.

    It is where the derivative of `(exp((tau + C) / M) - 1) / tau` by the work tau is 0. Daly's own formula (2006) is
    its series in C / M, and Young's the first term of that.
    """
    if math.isinf(mtbf):
        return math.inf
    return mtbf * (1 + float(lambertw(-math.exp(-1 - checkpoint / mtbf)).real))


def best_steps(step: float, checkpoint: float, mtbf: float, restart: float, most: int) -> int:
    """The number of steps between checkpoints, 1 to `most`, of the least expected time; see `slowdown`.

    The expected time falls up to `best_interval` and rises after it: one of the whole numbers beside it is the best.
    """
    around = best_interval(checkpoint, mtbf) / step
    if around >= most:
        return most
    below = max(1, math.floor(around))
    return min((below, min(most, below + 1)), key=lambda n: slowdown(n, step, checkpoint, mtbf, restart))
