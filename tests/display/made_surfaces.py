"""Surfaces and a path whose losses are given, for pictures."""

from types import SimpleNamespace

import numpy as np

from tf_fullbatch.analysis.surfaces import Surface, axis


def line(height: float, points: int = 25, accuracy: float | None = 0.9) -> Surface:
    """A path between two networks of loss 0.5 and 1.5 that rises by `height` in the middle, and its error by half."""
    a = np.linspace(0, 1, points)
    bump = 1 - (2 * a - 1) ** 2
    accuracies = np.full(points, np.nan) if accuracy is None else accuracy - 0.5 * bump
    return Surface((a,), 0.5 + a + height * bump, accuracies, "recalibrated", "")


def bowl(lowest: float = 0.01) -> Surface:
    """`lowest + a^2 + 3 b^2` on 7 by 9 points."""
    a, b = axis(7), axis(9, 0.5)
    loss = lowest + a[:, None] ** 2 + 3 * b**2
    return Surface((a, b), loss, np.full_like(loss, np.nan), "frozen", "")


T = np.linspace(1, 0, 6)
PLANE = SimpleNamespace(coordinates=np.stack([T, T**2 / 2], 1), explained_variance=np.array([0.875, 0.1]))
LOSSES = SimpleNamespace(path=2 + T, plane=2 + 0.5 * T)
