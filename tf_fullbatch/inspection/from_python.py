"""`analyze`: questions about trained runs, from Python."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.errors import in_pythons_words
from tf_fullbatch.inspection.conduct import Answer, Conduct
from tf_fullbatch.inspection.opening import Opener
from tf_fullbatch.inspection.options import Options
from tf_fullbatch.inspection.plan import places_of, refuse_unlike
from tf_fullbatch.run.devices import keeping_precision
from tf_fullbatch.run.given import parts_of
from tf_fullbatch.settings.given_parts import giving
from tf_fullbatch.settings.part_options import options_text


@in_pythons_words()
def analyze_runs(
    run_dirs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    what: str | Sequence[str],
    *,
    step: int | Sequence[int] | None = None,
    what_options: str | Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
    **settings: Any,
) -> list[Answer]:
    """Answers questions about trained runs, as `python -m tf_fullbatch.analyze` does, and keeps the answers.

        (answer,) = tf_fullbatch.analyze_runs("runs/quickstart", "spectrum", what_options={"spectrum.k": 5})
        print(answer.table())

    Args:
        run_dirs: Folders of runs, or one.
        what: "spectrum", "landscape", "path", "barrier", "flatness", "trace", or several.
        step: Which kept checkpoint, by its step; one for all runs, one per run, or several of one. None: the newest.
        what_options: "WHAT.KEY" -> value, or the text that the flag takes.
        parts: Objects that the runs were trained on by `tf_fullbatch.train`, under the names of its arguments.
        **settings: The command's other flags, by name: `split`, `samples`, `weights`, `statistics`, `augmentation`,
            `output_dir`, `own_code`, `data_dir`, `num_replicas`, `simulate_devices`.

    Returns:
        An answer for each question and run, then those about several runs: `figures`, `folder`,
        `gradient_evaluations`, `table()`.

    Raises:
        UserError: An argument is refused, or a question has no answer there.
        TypeError: An unknown setting.
    """
    folders = [run_dirs] if isinstance(run_dirs, str | os.PathLike) else list(run_dirs)
    steps = () if step is None else (step,) if isinstance(step, int) else tuple(step)
    output_dir = settings.pop("output_dir", None)
    options = Options(
        what=(what,) if isinstance(what, str) else tuple(what),
        step=steps,
        what_options=options_text("what", what_options)
        if isinstance(what_options, Mapping)
        else what_options,
        output_dir=None if output_dir is None else os.fspath(output_dir),
        **settings,
    )
    places = places_of([os.fspath(folder) for folder in folders], steps)
    refuse_unlike(options.questions(), places)
    given = parts_of(**(parts or {}))
    with giving(given.given), keeping_precision():
        return Conduct(options, Opener(options, given)).answers(places)
