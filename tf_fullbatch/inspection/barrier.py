"""--what=barrier: how high the loss rises between two trained networks, on the line and on a trained curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.inspection.base import Figure, Question
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.analysis.connecting_paths import Curve
    from tf_fullbatch.analysis.surfaces import Surface
    from tf_fullbatch.core.trees import Tree
    from tf_fullbatch.inspection.subject import Subject
    from tf_fullbatch.inspection.work import Work


@dataclass(frozen=True, kw_only=True, slots=True)
class BarrierQuestion(Question):
    """The loss on the line between two networks; with `bezier` also on a curve that is trained to avoid what is high.

    Samples, augmentation and what is not weights (moving averages) are the first one's.

    Source: Frankle et al. 2020 (arXiv 1912.05671); Garipov et al. 2018 (arXiv 1802.10026).
    """

    summary: ClassVar[str] = "the loss between two runs, or two steps of one, on the line or a trained curve"
    weights: ClassVar[str] = "two"

    points: int = setting(25, "Points of a path, its ends among them.", minimum=2)
    bezier: bool = setting(False, "Train a quadratic Bezier curve too, on all training samples.")
    steps: int = setting(50, "Full-batch steps that train the curve.", minimum=1)
    learning_rate: float = setting(0.1, "Of those steps.", above=0)
    momentum: float = setting(0.9, "Of those steps, heavy ball.", minimum=0, below=1)
    nodes: int = setting(5, "Places on the curve that each step looks at.", minimum=1)

    def statistics(self, split: str) -> str:
        """Recalibrated: neither end's averages fit what lies between."""
        del split
        return "recalibrated"

    def answer(self, subjects: "Sequence[Subject]", work: "Work") -> list[Figure]:
        """See `Question`."""
        from tf_fullbatch.analysis.connecting_paths import curve_losses, line_losses
        from tf_fullbatch.display.landscapes import draw_barriers

        first, second = subjects
        start, end = first.theta, second.theta
        objective = first.objective(work.statistics)
        paths = {
            "line": work.surface(
                "loss-line",
                lambda known, progress: line_losses(
                    objective, start, end, self.points, known=known, progress=progress
                ),
            )
        }
        if self.bezier:
            curve = self._curve(first, start, end, work)
            paths["Bezier curve"] = work.surface(
                "loss-bezier",
                lambda known, progress: curve_losses(
                    objective, curve, self.points, known=known, progress=progress
                ),
            )
        work.table("barrier", _columns(paths))
        work.picture("barrier", draw_barriers(paths, f"{first} to {second}"))
        return [figure for name, path in paths.items() for figure in _figures(name, path)]

    def _curve(self, subject: "Subject", start: "Tree", end: "Tree", work: "Work") -> "Curve":
        from tf_fullbatch.analysis.connecting_paths import Curve, trained_curve

        def trained() -> Mapping[str, object]:
            found = trained_curve(
                subject.objective("batch", split="train"),
                start,
                end,
                steps=self.steps,
                learning_rate=self.learning_rate,
                momentum=self.momentum,
                nodes=self.nodes,
                progress=lambda step, loss: work.say_now_and_then(
                    f"curve, step {step} of {self.steps}: mean loss {loss:.4g}"
                ),
            )
            leaves = {f"control_{i}": leaf for i, leaf in enumerate(found.curve.control)}
            return {**leaves, "losses": found.losses}

        part = work.once("bezier curve", trained)
        control = [part[f"control_{i}"] for i in range(len(start))]
        return Curve(start, control, end)


def _figures(name: str, path: "Surface") -> list[Figure]:
    import numpy as np

    from tf_fullbatch.analysis.barriers import barrier_of

    if not np.isfinite(path.loss).all():
        return [
            Figure("barrier_of_the_loss", float("nan"), name, remark="the loss is not finite on the path")
        ]
    barrier = barrier_of(path)
    connected = (
        f"{'' if barrier.connected else 'not '}linearly connected (below 2 %)" if name == "line" else ""
    )
    return [
        Figure("barrier_of_the_loss", barrier.loss, name),
        Figure("barrier_of_the_error", barrier.error, name, remark=connected),
        Figure("loss_at_the_first", float(path.loss[0]), name),
        Figure("loss_at_the_second", float(path.loss[-1]), name),
        Figure("highest_loss", barrier.highest, name),
        Figure("mean_loss", barrier.mean, name),
    ]


def _columns(paths: "Mapping[str, Surface]") -> Mapping[str, Any]:
    found: dict[str, list] = {"path": [], "place": [], "loss": [], "accuracy": []}
    for name, path in paths.items():
        found["path"] += [name] * len(path.loss)
        found["place"] += list(path.coordinates[0])
        found["loss"] += list(path.loss)
        found["accuracy"] += list(path.accuracy)
    return found
