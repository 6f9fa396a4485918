"""Losses on a grid of weights, however they were come by; no TensorFlow."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_fullbatch.errors import UserError

Coordinates = Sequence[Sequence[float] | np.ndarray]
"""Of each axis of a grid the places of its points, `[points]`."""

POINTS = 51
"""Points along an axis of a surface, as in Li et al. 2018."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Losses and accuracies on a grid.

    Attributes:
        coordinates: Of each axis `[points]`, where its points lie.
        loss: `[points of the first axis, of the second ...]`; nan where it is not computed yet.
        accuracy: As many; nan where it is not computed yet or has no meaning.
        statistics: What batch normalisation normalised by: "batch", "frozen" or "recalibrated".
        of: A digest of the weights that span the grid.
    """

    coordinates: tuple[np.ndarray, ...]
    loss: np.ndarray
    accuracy: np.ndarray
    statistics: str
    of: str

    @classmethod
    def empty(cls, coordinates: Coordinates, statistics: str, of: str = "") -> "Surface":
        """A surface with nothing computed."""
        axes = tuple(np.array(axis, np.float64) for axis in coordinates)
        shape = tuple(len(axis) for axis in axes)
        return cls(axes, np.full(shape, np.nan), np.full(shape, np.nan), statistics, of)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Surface":
        """The surface whose `arrays` these are.

        Raises:
            UserError: They are none's.
        """
        names = sorted((n for n in arrays if n.startswith("axis_")), key=lambda n: int(n[5:]))
        axes = tuple(np.asarray(arrays[n]) for n in names)
        shape = tuple(len(axis) for axis in axes)
        try:
            loss, accuracy = np.array(arrays["loss"]), np.array(arrays["accuracy"])
            statistics, of = str(arrays["statistics"]), str(arrays["of"])
        except KeyError as error:
            raise UserError(f"a surface's arrays lack {error}: they are of something else.") from error
        if not axes or loss.shape != shape or accuracy.shape != shape:
            raise UserError(f"a surface's losses are {loss.shape}, but its axes have {shape} points.")
        return cls(axes, loss, accuracy, statistics, of)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name -> array, for `np.savez`; `np.load(file, allow_pickle=False)` gives what `from_arrays` takes."""
        axes = {f"axis_{i}": axis for i, axis in enumerate(self.coordinates)}
        words = {"statistics": np.array(self.statistics), "of": np.array(self.of)}
        return {**axes, "loss": self.loss, "accuracy": self.accuracy, **words}

    def lacking(self) -> Iterator[tuple[int, ...]]:
        """The indices of points that are not computed, in order."""
        return (tuple(int(i) for i in index) for index in np.argwhere(np.isnan(self.loss)))

    def going_on_from(self, known: "Surface | None") -> "Surface":
        """This grid, with a copy of what is known of it.

        Raises:
            UserError: What is known is of another grid, of other weights or of other statistics.
        """
        if known is None:
            return self
        same_grid = len(known.coordinates) == len(self.coordinates) and all(
            np.array_equal(a, b) for a, b in zip(known.coordinates, self.coordinates, strict=True)
        )
        for what, same in (
            ("coordinates", same_grid),
            ("weights or directions", known.of == self.of),
            ("statistics", known.statistics == self.statistics),
        ):
            if not same:
                raise UserError(f"the known surface has other {what}: go on with the same, or leave it out.")
        return Surface(self.coordinates, known.loss.copy(), known.accuracy.copy(), self.statistics, self.of)


def axis(points: int = POINTS, reach: float = 1.0) -> np.ndarray:
    """Evenly spaced coordinates from -reach to reach.

    Args:
        points: How many; of an odd number the middle one is 0, exactly.
        reach: The last one.

    Raises:
        UserError: There are fewer than two.
    """
    if points < 2:
        raise UserError(f"points={points}: an axis takes 2 or more.")
    return reach * np.arange(1 - points, points, 2) / (points - 1)


def axis_around(
    values: Sequence[float] | np.ndarray, points: int = POINTS, margin: float = 0.15
) -> np.ndarray:
    """Evenly spaced coordinates over all the values, and a margin at both ends, such as around a path.

    Args:
        values: What it spans; their range is not zero.
        points: How many, 2 or more.
        margin: At each end, as a share of the range.
    """
    low, high = float(np.min(values)), float(np.max(values))
    spare = margin * (high - low)
    return np.linspace(low - spare, high + spare, points)
