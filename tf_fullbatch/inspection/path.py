"""--what=path: the training's path over the plane that its kept checkpoints lie in best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Figure, Question
from tf_fullbatch.inspection.landscape import plane_columns
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.paths import PathLosses, Plane
    from tf_fullbatch.inspection.kept_weights import KeptWeights
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class PathQuestion(Question):
    """Principal directions of the checkpoints, the path in their plane, and what the plane hides of its losses.

    Source: Li et al. 2018 (arXiv 1712.09913), section 7.
    """

    summary: ClassVar[str] = "the path of the kept checkpoints in the plane of their principal directions"

    points: int = setting(21, "Points along each direction of the plane.", minimum=2)
    margin: float = setting(0.15, "Room around the path, as a share of its extent.", minimum=0)

    def identity(self, subjects: "Sequence[Subject]") -> Mapping[str, Any]:
        """The steps of the checkpoints: a run that goes on has more of them later."""
        from tf_fullbatch.inspection.kept_weights import kept_steps

        return {"checkpoints": kept_steps(subjects[0])}

    def check(self, subjects: "Sequence[Subject]") -> None:
        """See `Question`."""
        from tf_fullbatch.inspection.kept_weights import kept_steps

        kept = len(kept_steps(subjects[0]))
        if kept < 3:
            raise UserError(
                f"--what=path of {subjects[0]}: a plane takes 3 whole checkpoints, but {kept} up to this step are "
                "kept; train with a smaller --checkpoint_every and a larger --keep_checkpoints."
            )

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.analysis.paths import plane_of
        from tf_fullbatch.inspection.kept_weights import KeptWeights

        (subject,) = subjects
        with KeptWeights(subject, work.folder.settings["checkpoints"]) as kept:
            plane = plane_of(kept)
            return self._drawn(subject, kept, plane, work)

    def _drawn(self, subject: "Subject", kept: "KeptWeights", plane: "Plane", work: "Work") -> list[Figure]:
        from tf_fullbatch.analysis.landscape import surface
        from tf_fullbatch.analysis.paths import PathLosses, path_losses
        from tf_fullbatch.analysis.surfaces import axis_around
        from tf_fullbatch.display.landscapes import draw_path

        objective = subject.objective(work.statistics)
        losses = PathLosses(
            **work.once("losses along the path", lambda: path_losses(objective, kept, plane)._asdict())
        )
        axes = [axis_around(plane.coordinates[:, i], self.points, self.margin) for i in range(2)]
        found = work.surface(
            "loss",
            lambda known, progress: surface(
                objective, plane.centre, plane.directions, axes, known=known, progress=progress
            ),
        )
        work.table("plane", plane_columns(found))
        work.table("path", _columns(kept.steps, plane, losses))
        title = f"Path up to {subject}"
        work.picture("path", draw_path(found, plane, losses, kept.steps, title))
        work.page("path", found, title, plane=plane, losses=losses)
        return _figures(kept.steps, plane, losses)


def _figures(steps: Sequence[int], plane: "Plane", losses: "PathLosses") -> list[Figure]:
    import numpy as np

    furthest = int(np.argmax(np.abs(losses.path - losses.plane)))
    shares = [
        Figure("explained_variance", float(share), f"direction {i + 1}")
        for i, share in enumerate(plane.explained_variance)
    ]
    return [
        Figure("checkpoints", float(len(steps)), f"steps {steps[0]} to {steps[-1]}"),
        *shares,
        Figure("largest_distance_from_the_plane", float(plane.distances.max())),
        Figure("loss_at_the_start", float(losses.path[0])),
        Figure("loss_at_the_end", float(losses.path[-1])),
        Figure(
            "largest_difference_to_the_plane",
            float(losses.path[furthest] - losses.plane[furthest]),
            f"step {steps[furthest]}",
            remark=f"the checkpoint's loss {losses.path[furthest]:.4g}, the plane's {losses.plane[furthest]:.4g}",
        ),
    ]


def _columns(steps: Sequence[int], plane: "Plane", losses: "PathLosses") -> Mapping[str, Any]:
    return {
        "step": steps,
        "first": plane.coordinates[:, 0],
        "second": plane.coordinates[:, 1],
        "distance_from_the_plane": plane.distances,
        "loss": losses.path,
        "loss_of_the_plane": losses.plane,
    }
