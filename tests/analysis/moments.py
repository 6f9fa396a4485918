"""Moments of small networks, as a training gives them to measures, and gradients of micro-batches one by one."""

import functools
from typing import Any, cast

import numpy as np

from tests.core.objectives import INPUTS, LABELS, SAMPLES, asked
from tests.core.problems import Problem, flat, micro_batches, scalars
from tf_fullbatch.analysis.measures.base import Measure, Moment
from tf_fullbatch.core.kernels import MicroBatchFigures
from tf_fullbatch.core.objective import Objective, Point

SIZE = 4


class GivenMoment:
    """A moment of a problem at its present weights, in micro-batches of 4 out of 23 samples.

    Args:
        problem: The network and its loss.
        step: Updates completed.
        **settings: Of the objective.
    """

    seed = 3
    learning_rate = 0.1
    stability = None

    def __init__(self, problem: Problem, step: int = 7, size: int = SIZE, **settings: Any):
        self.problem = problem
        self.step = step
        self.objective = asked(problem, size, **settings)
        self.of_samples = asked(problem, 1, statistics="frozen")

    @functools.cache  # noqa: B019  # a moment is short
    def point(self) -> Point:
        return self.objective.value_and_gradient()

    @functools.cache  # noqa: B019
    def micro_batches(self) -> MicroBatchFigures:
        return self.objective.micro_batches()

    def by_samples(self) -> Objective:
        return self.of_samples


def measured(measure: Measure, moment: GivenMoment) -> dict[tuple[str, str], float]:
    """(quantity, of) -> value."""
    figures = measure.figures(cast(Moment, moment))
    found = {(figure.quantity, figure.of): figure.value for figure in figures}
    assert len(found) == len(figures)
    return found


def gradients(problem: Problem, size: int = SIZE) -> np.ndarray:
    """`[micro-batches, parameters]`, one micro-batch after the other, in training."""
    parts = micro_batches(INPUTS, LABELS, size)
    return np.stack([flat(problem.gradient(part, scalars()).gradient) for part in parts])


def sizes(size: int = SIZE) -> np.ndarray:
    """Samples of the micro-batches."""
    return np.array([min(size, SAMPLES - begin) for begin in range(0, SAMPLES, size)])
