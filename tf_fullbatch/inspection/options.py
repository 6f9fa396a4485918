"""The settings of `analyze`: which questions, of which weights, about which samples."""

from dataclasses import dataclass
from typing import Any

from tf_fullbatch.core.names import STATISTICS
from tf_fullbatch.errors import UserError
from tf_fullbatch.inspection.base import Question
from tf_fullbatch.inspection.registry import QUESTIONS
from tf_fullbatch.settings.components import described
from tf_fullbatch.settings.fields import Settings, check_ranges, refuse_repeats, setting
from tf_fullbatch.settings.part_options import parsed_options
from tf_fullbatch.settings.several_parts import refuse_unknown, with_options

SPLITS = ("train", "validation", "test")
WEIGHTS = ("raw", "ema", "swa")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(Settings):
    """What is asked; each field is a flag of the same name."""

    what: tuple[str, ...] = setting((), f"Questions, separated by commas: {described(QUESTIONS)}.")
    step: tuple[int, ...] = setting(
        (),
        "Which kept checkpoint, by its step: one for all runs, one per run, or several of one run. Unset: the newest.",
        minimum=0,
    )
    weights: str = setting(
        "raw",
        "The weights themselves, or their average: ema of runs with --ema_decay, swa of runs with --swa_start_epoch.",
        choices=WEIGHTS,
    )
    split: str = setting("train", "The samples.", choices=SPLITS)
    samples: int | None = setting(
        None,
        "Use so many of them, drawn once and for all; fewer are part of more. Unset: all.",
        minimum=1,
        none_word="all",
    )
    statistics: str | None = setting(
        None,
        "What batch normalisation normalises by: batch (each micro-batch's own statistics, dropout drops: the function "
        "that training descends), frozen (the moving averages, as evaluation does) or recalibrated (the set's, at the "
        "weights asked about). Unset: batch on training samples, frozen on others; recalibrated for barrier.",
        choices=STATISTICS,
    )
    augmentation: bool = setting(
        True,
        "Training samples as the run augments them in the checkpoint's epoch; --noaugmentation takes them as they "
        "are, as validation and test samples always are.",
    )
    what_options: str | None = setting(
        None, "Options of questions, WHAT.KEY=VALUE,...: spectrum.k=5,landscape.points=25."
    )
    output_dir: str | None = setting(
        None, "Folder for the folders of results. Unset: RUN_DIR/analysis of each run, the first one where several "
        "are compared."
    )  # fmt: skip
    own_code: bool = setting(
        False, "Run the Python files that the runs' settings name; only of folders whose origin you know."
    )
    data_dir: str | None = setting(None, "TFDS' folder of prepared data sets. Unset: the run's.")
    num_replicas: int | None = setting(
        None, "Devices to mirror over. Unset: all visible GPUs, or the CPU.", minimum=1
    )
    simulate_devices: int = setting(
        0, "Make this many logical CPUs, to try several replicas anywhere; 0 for none.", minimum=0
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.what:
            raise UserError(f"--what is missing: name one or more of {', '.join(QUESTIONS)}.")
        refuse_unknown("what", self.what, QUESTIONS, "question")
        refuse_repeats(self, ("what", "step"))
        if self.weights != "raw" and "path" in self.what:
            raise UserError(
                f"--weights={self.weights}: the path is that of the weights themselves; leave it out."
            )
        self.questions()

    def questions(self) -> dict[str, Question]:
        """Name -> question, of each that is asked.

        Raises:
            UserError: An option of no question that is asked, or out of its range.
        """
        options: dict[str, Any] = parsed_options("what", self.what_options, dotted=True)
        return with_options("what", self.what, QUESTIONS, options)
