"""--what=landscape: the loss along random directions that have the weights' filter norms, and in their plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Figure, Question
from tf_fullbatch.settings.fields import check_ranges, setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.surfaces import Surface
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work

_ALONG = "Along the first direction, in lengths of the weights"


@dataclass(frozen=True, kw_only=True, slots=True)
class LandscapeQuestion(Question):
    """The loss around the weights; runs that are compared share the draws of their directions.

    Source: Li et al. 2018 (arXiv 1712.09913).
    """

    summary: ClassVar[str] = "the loss along filter-normalised random directions; several runs side by side"
    weights: ClassVar[str] = "all"

    dimensions: int = setting(2, "1 for a line, 2 for a plane.", minimum=1, maximum=2)
    points: int = setting(25, "Points along each direction; odd, so that the weights are one.", minimum=3)
    reach: float = setting(1.0, "Coordinate of the outermost points.", above=0)
    normalise: str = setting(
        "filter",
        "What of a direction gets the weights' norm.",
        choices=("filter", "layer", "none"),
    )
    every_statistics: bool = setting(
        False, "Batch, frozen and recalibrated statistics side by side, whatever --statistics says."
    )
    seed: int = setting(0, "Seed of the directions.", minimum=0)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.points % 2 == 0:
            raise UserError(f"points={self.points}: give an odd number, so that the weights are one of them.")

    def looked_at(self, statistics: str) -> tuple[str, ...]:
        """All there are, side by side, or the one that is asked for."""
        return STATISTICS if self.every_statistics else (statistics,)

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.display.landscapes import draw_lines

        kinds = self.looked_at(work.statistics)
        figures: list[Figure] = []
        lines: dict[str, Surface] = {}
        for number, subject in enumerate(subjects, start=1):
            for statistics in kinds:
                file = f"{number}-{statistics}" if len(subjects) > 1 else statistics
                label = f"{subject}, {statistics}" if len(subjects) > 1 else statistics
                surface = self._surface(subject, statistics, work, file)
                self._keep(surface, work, file, f"{subject}, {statistics} statistics")
                lines[label] = self._line(surface)
                figures += self._figures(surface, label, subject.recorded_loss(statistics))
        title = str(subjects[0]) if len(subjects) == 1 else "Landscapes along shared directions"
        work.table("lines", _columns(lines))
        work.picture("lines", draw_lines(lines, title, _ALONG))
        return figures

    def _surface(self, subject: "Subject", statistics: str, work: "Work", file: str) -> "Surface":
        from tf_fullbatch.analysis.directions import random_directions
        from tf_fullbatch.analysis.landscape import surface
        from tf_fullbatch.analysis.surfaces import axis

        theta, objective = subject.theta, subject.objective(statistics)
        directions = random_directions(
            theta, self.seed, count=self.dimensions, normalise=self.normalise, axes=subject.filter_axes
        )
        axes = [axis(self.points, self.reach)] * self.dimensions
        return work.surface(
            f"loss-{file}",
            lambda known, progress: surface(
                objective, theta, directions, axes, known=known, progress=progress
            ),
        )

    def _keep(self, surface: "Surface", work: "Work", file: str, title: str) -> None:
        """The plane's table and pictures."""
        from tf_fullbatch.display.landscapes import draw_plane

        if self.dimensions == 1:
            return
        work.table(f"plane-{file}", plane_columns(surface))
        work.picture(f"plane-{file}", draw_plane(surface, title))
        work.page(f"plane-{file}", surface, title)

    def _line(self, surface: "Surface") -> "Surface":
        """The surface along the first direction, through the weights."""
        from tf_fullbatch.analysis.surfaces import Surface

        if self.dimensions == 1:
            return surface
        middle = self.points // 2
        loss, accuracy = surface.loss[:, middle], surface.accuracy[:, middle]
        return Surface(surface.coordinates[:1], loss, accuracy, surface.statistics, surface.of)

    def _figures(self, surface: "Surface", label: str, recorded: float) -> list[Figure]:
        import numpy as np

        middle = (self.points // 2,) * self.dimensions
        centre = float(surface.loss[middle])
        remark = f"recorded {recorded:.6g}" if np.isfinite(recorded) else "the run recorded none of these"
        finite = surface.loss[np.isfinite(surface.loss)]
        gaps = surface.loss.size - finite.size
        return [
            Figure("loss_at_the_weights", centre, label, remark=remark),
            Figure("lowest_loss", float(finite.min()), label),
            Figure("highest_loss", float(finite.max()), label, remark=f"{gaps} not finite" if gaps else ""),
        ]


def plane_columns(surface: "Surface") -> Mapping[str, Any]:
    """A plane's points, one per row."""
    import numpy as np

    a, b = np.meshgrid(*surface.coordinates, indexing="ij")
    columns = {"first": a, "second": b, "loss": surface.loss, "accuracy": surface.accuracy}
    return {name: column.ravel() for name, column in columns.items()}


def _columns(lines: "Mapping[str, Surface]") -> Mapping[str, Any]:
    found: dict[str, list] = {"of": [], "coordinate": [], "loss": [], "accuracy": []}
    for label, line in lines.items():
        found["of"] += [label] * len(line.loss)
        found["coordinate"] += list(line.coordinates[0])
        found["loss"] += list(line.loss)
        found["accuracy"] += list(line.accuracy)
    return found
