"""What the benchmark is asked to measure: its flags and their checks; imports no TensorFlow."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.config import flag_parsing
from tf_fullbatch.config.flag_parsing import help_lines
from tf_fullbatch.config.groups import DTYPE_POLICIES, MODELS
from tf_fullbatch.config.settings import check_ranges, refuse_repeats, setting
from tf_fullbatch.config.step import PENALTIES
from tf_fullbatch.errors import UserError

JIT_CHOICES = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The benchmark's settings; each is a flag of the same name."""

    model: str = setting("resnet18", "Network.", choices=MODELS)
    image_size: int = setting(32, "Side of the random images in pixels.", minimum=4)
    num_classes: int = setting(10, "Classes of the random labels.", minimum=2)
    micro_batch_size: int = setting(128, "Samples of one forward and backward pass.", minimum=1)
    samples: int = setting(2048, "Samples of one training step.", minimum=1)
    repeats: int = setting(
        5,
        "Rounds; in each, every configuration is timed once, and medians over rounds are reported.",
        minimum=1,
    )
    penalties: tuple[str, ...] = setting(
        ("none", "forward_differences", "nested_tape", "forward_over_reverse"),
        "Penalties, separated by commas.",
        choices=PENALTIES,
    )
    dtype_policies: tuple[str, ...] = setting(
        ("float32",), "Precisions, separated by commas.", choices=DTYPE_POLICIES
    )
    jit_compile: tuple[str, ...] = setting(
        ("auto",),
        "Whether XLA compiles a micro-batch's gradient, one or more separated by commas; auto: on a GPU.",
        choices=JIT_CHOICES,
    )
    first_micro_batch: bool = setting(
        False, "Measure instead the time from process start to the first finished micro-batch, once each."
    )
    memory_sweep: tuple[int, ...] = setting(
        (),
        "Measure instead the peak memory of full-batch steps of resnet_tiny over these numbers of 32x32 images, such "
        "as 1000,50000.",
        minimum=1,
    )
    json: str | None = setting(None, "File to write every raw figure to.")

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_repeats(self, ("penalties", "dtype_policies", "jit_compile", "memory_sweep"))
        if self.json is not None and (
            Path(self.json).is_dir() or not Path(self.json).absolute().parent.is_dir()
        ):
            raise UserError(f"--json={self.json}: give the path of a file in an existing folder.")


def parse(argv: Sequence[str]) -> Options | None:
    """The options that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, or a value that does not parse or is refused.
    """
    values = flag_parsing.parse(argv, dataclasses.fields(Options))
    return None if values is None else Options(**values)


def help_text() -> str:
    """All flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.benchmark [--name=value ...]",
        "",
        "Times one training step over random images, for each precision and penalty, beside a bare loop of",
        "forward and backward passes.",
        "",
    ]
    return "\n".join(lines + [line for field in dataclasses.fields(Options) for line in help_lines(field)])
