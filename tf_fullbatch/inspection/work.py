"""What a question works with: parts that are computed once and kept, and words on how far it is."""

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture
from scipy.sparse.linalg import LinearOperator

from tf_fullbatch.analysis.landscape import Progress
from tf_fullbatch.analysis.paths import PathLosses, Plane
from tf_fullbatch.analysis.surfaces import Surface
from tf_fullbatch.display.landscapes import save_figure
from tf_fullbatch.display.surface_page import write_surface_page
from tf_fullbatch.display.text import format_duration
from tf_fullbatch.inspection.result_folder import ResultFolder
from tf_fullbatch.inspection.subject import Subject

_SPENT = "gradient_evaluations"
_SAVE_SECONDS = 2.0
_TELL_SECONDS = 10.0


class Work:
    """The work on one answer.

    Args:
        folder: Where parts, tables and pictures are kept.
        subjects: Whose gradient evaluations are counted.
        statistics: What batch normalisation normalises by, as asked.
        tell: Takes a line on how far it is.

    Attributes:
        folder: As given.
        statistics: As given.
        evaluations: Gradient evaluations per sample that all parts took, in earlier processes too.
    """

    def __init__(
        self,
        folder: ResultFolder,
        subjects: Sequence[Subject],
        statistics: str,
        tell: Callable[[str], None],
    ):
        self.folder = folder
        self.statistics = statistics
        self.evaluations = 0.0
        self._subjects = subjects
        self._tell = tell
        self._told_at = time.monotonic()

    def once(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """The arrays of a part: read, or computed and kept.

        Args:
            name: Of the part; its file is NAME.npz, without spaces.
            compute: Makes name -> array or number.
        """
        file = name.replace(" ", "-").replace("/", ".")
        found = self.folder.read_arrays(file)
        if found is None:
            self._tell(name)
            before = self._spent()
            found = {key: np.asarray(value) for key, value in compute().items()}
            found[_SPENT] = np.asarray(self._spent() - before)
            self.folder.write_arrays(file, found)
        self.evaluations += float(found.pop(_SPENT, 0.0))
        return found

    def surface(self, name: str, compute: Callable[[Surface | None, Progress], Surface]) -> Surface:
        """A surface, saved every few seconds as it is computed, and gone on with from what is saved.

        Args:
            name: Of the part and its file, NAME.npz.
            compute: Computes what is lacking of the known surface, telling of each point.
        """
        arrays = self.folder.read_arrays(name)
        known = None if arrays is None else Surface.from_arrays(arrays)
        earlier = 0.0 if arrays is None else float(arrays.get(_SPENT, 0.0))
        before, started, saved_at = self._spent(), time.monotonic(), time.monotonic()
        had = 0 if known is None else int(np.isfinite(known.loss).sum())
        latest: list[Surface] = []

        def save() -> None:
            spent = np.asarray(earlier + self._spent() - before)
            self.folder.write_arrays(name, {**latest[0].arrays(), _SPENT: spent})

        def progress(found: Surface) -> None:
            nonlocal saved_at
            latest[:] = [found]
            self._tell_points(name, found, had, started)
            if time.monotonic() - saved_at > _SAVE_SECONDS:
                save()
                saved_at = time.monotonic()

        try:
            found = compute(known, progress)
        finally:
            if latest:
                save()
        self.evaluations += earlier + self._spent() - before
        return found

    def watched(self, operator: LinearOperator, name: str) -> LinearOperator:
        """The same operator, telling of its products now and then."""
        made = 0

        def product(vector: np.ndarray) -> np.ndarray:
            nonlocal made
            made += 1
            self.say_now_and_then(f"{name}: product {made} with a vector")
            return operator @ vector

        return LinearOperator(operator.shape, matvec=product, rmatvec=product, dtype=operator.dtype)

    def picture(self, name: str, picture: Picture) -> None:
        """Keeps a picture as NAME.png."""
        save_figure(picture, self.folder.file(f"{name}.png"))

    def page(
        self,
        name: str,
        surface: Surface,
        title: str,
        *,
        plane: Plane | None = None,
        losses: PathLosses | None = None,
    ) -> None:
        """Keeps a surface as NAME.html to turn about, where plotly is installed."""
        if find_spec("plotly") is None:
            self.say("no page to turn the surface about: pip install 'tf-fullbatch[plotly]'")
            return
        write_surface_page(surface, self.folder.file(f"{name}.html"), title, plane=plane, losses=losses)

    def table(self, name: str, columns: Mapping[str, Any]) -> None:
        """Keeps columns of the same length as NAME.csv."""
        self.folder.write_table(f"{name}.csv", columns)

    def say(self, text: str) -> None:
        """Tells something at once."""
        self._tell(text)

    def say_now_and_then(self, text: str) -> None:
        """Tells something where nothing was told for ten seconds."""
        if time.monotonic() - self._told_at > _TELL_SECONDS:
            self._told_at = time.monotonic()
            self._tell(text)

    def _spent(self) -> float:
        return sum(subject.evaluations for subject in self._subjects)

    def _tell_points(self, name: str, found: Surface, had: int, started: float) -> None:
        done = int(np.isfinite(found.loss).sum())
        passed = time.monotonic() - started
        rest = format_duration(passed / max(done - had, 1) * (found.loss.size - done))
        left = f", {rest} left" if done - had > 1 else ""  # the first point has the compilation in it
        self.say_now_and_then(f"{name}: {done} of {found.loss.size} points{left}")
