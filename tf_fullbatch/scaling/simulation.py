"""Simulations by events, seeded, which share no formula with what they check."""

import heapq

import numpy as np

from tf_fullbatch.scaling.stragglers import Group


def slowest_seconds(
    dealt: list[Group], spread: float, device_spread: float, trials: int, seed: int
) -> np.ndarray:
    """The slowest device's time of each of some steps, in units of a micro-batch's mean time, `[trials]`.

    Every micro-batch's time is drawn by itself, log-normal of mean 1, and so is every device's speed in every step.
    """
    random = np.random.default_rng(seed)

    def drawn(deviation: float, shape: tuple[int, ...]) -> np.ndarray:
        variance = np.log1p(deviation**2)
        return np.exp(random.normal(-variance / 2, np.sqrt(variance), shape))

    ends = []
    for group in dealt:
        for _ in range(group.devices):
            times = drawn(spread, (trials, group.micro_batches)).sum(axis=1)
            ends.append(times * drawn(device_spread, (trials,)))
    return np.max(ends, axis=0)


def run_seconds(
    *,
    steps: int,
    step: float,
    every: int,
    checkpoint: float,
    nodes: int,
    mtbf: float,
    restart: float,
    seed: int,
) -> float:
    """How long one run takes, from its first step to its last checkpoint.

    Each node fails at times of its own, whose distances are exponential. The clock goes from one end of a step, of a
    checkpoint or of a start to the next; a failure before it ends loses all steps since the last checkpoint, and has
    the run start again.

    Args:
        steps: Of the run.
        step: Seconds of a step.
        every: Steps between checkpoints; one more after the last step.
        checkpoint: Seconds of a checkpoint.
        nodes: Of the cluster, each of which ends the run where it fails.
        mtbf: Mean seconds between the failures of one node.
        restart: Seconds of a start.
        seed: Of the failures.
    """
    random = np.random.default_rng(seed)
    failures = list(random.exponential(mtbf, nodes))
    heapq.heapify(failures)
    now, saved, done, starting, saving = 0.0, 0, 0, False, False
    while saved < steps:
        lasts = restart if starting else checkpoint if saving else step
        if failures[0] < now + lasts:
            now = failures[0]
            heapq.heapreplace(failures, now + random.exponential(mtbf))
            done, starting, saving = saved, True, False
            continue
        now += lasts
        if starting:
            starting = False
        elif saving:
            saved, saving = done, False
        else:
            done += 1
            saving = done == steps or (done - saved) == every
    return now
