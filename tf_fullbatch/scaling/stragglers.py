"""How long a synchronous step waits for its slowest device."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

_POINTS = 4001
_REACH = 12.0
"""Standard deviations beyond which nothing is left, of a million devices too."""


class Group(NamedTuple):
    """Devices with equally much to do.

    Attributes:
        devices: How many.
        micro_batches: Of each.
    """

    devices: int
    micro_batches: int


def groups(micro_batches: int, replicas: int) -> list[Group]:
    """Who has how many of a step's micro-batches, which are dealt out in turn; those without any left out."""
    least, more = divmod(micro_batches, replicas)
    found = [Group(more, least + 1), Group(replicas - more, least)]
    return [group for group in found if group.devices and group.micro_batches]


def slowest(dealt: Sequence[Group], spread: float, device_spread: float = 0.0) -> float:
    """Expected time of the slowest device, in units of a micro-batch's mean time.

    A device with r micro-batches takes a time X of mean r and `1 + Var X / r^2 = (1 + spread^2 / r) (1 +
    device_spread^2)`: each micro-batch deviates by itself, and each device in each step. X is log-normal: never
    negative, nearly as skewed as the sum of log-normal times that it stands for, and normal where it varies little. By
    the distribution F and density f of each,

        E[max X] = integral of x prod F(x) sum f(x) / F(x).

    Args:
        dealt: Of `groups`.
        spread: Standard deviation of a micro-batch's time, as a share of its mean.
        device_spread: Standard deviation of a device's speed, as a share of its mean.

    Source: the two moments of Fenton 1960, "The sum of log-normal probability distributions", IRE Transactions 8.
    """
    most = float(max(group.micro_batches for group in dealt))
    if not spread and not device_spread:
        return most
    logs = []
    for group in dealt:
        variance = math.log1p(spread**2 / group.micro_batches) + math.log1p(device_spread**2)
        logs.append((group.devices, math.log(group.micro_batches) - variance / 2, math.sqrt(variance)))
    low = max(mean - _REACH * deviation for _, mean, deviation in logs)
    high = max(mean + _REACH * deviation for _, mean, deviation in logs)
    log_x, width = np.linspace(low, high, _POINTS, retstep=True)
    z = [(log_x - mean) / deviation for _, mean, deviation in logs]
    log_all_done = sum(count * log_ndtr(each) for (count, _, _), each in zip(logs, z, strict=True))
    hazard = sum(
        count * np.exp(-(each**2) / 2 - log_ndtr(each)) / deviation
        for (count, _, deviation), each in zip(logs, z, strict=True)
    )
    return float(width * (np.exp(log_x + log_all_done) * hazard).sum() / math.sqrt(2 * math.pi))
