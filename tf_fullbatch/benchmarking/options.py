"""What the benchmark is asked to measure: its flags and their checks; imports no TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from tf_fullbatch.config.groups import DTYPE_POLICIES, MODELS
from tf_fullbatch.config.settings import setting
from tf_fullbatch.config.step import PENALTIES
from tf_fullbatch.outcomes import UserError

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
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            problem = _problem(field.metadata, value)
            if problem:
                shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
                raise UserError(f"--{field.name}={shown}: {problem}.")
        if self.json is not None and (
            Path(self.json).is_dir() or not Path(self.json).absolute().parent.is_dir()
        ):
            raise UserError(f"--json={self.json}: give the path of a file in an existing folder.")


def _problem(limits: Mapping[str, Any], value: Any) -> str | None:
    """What is wrong with a value or with the items of a list, if anything."""
    items = value if isinstance(value, tuple) else (value,)
    if limits["choices"] and not items:
        return f"name at least one of {', '.join(limits['choices'])}"
    for item in items:
        if limits["choices"] and item not in limits["choices"]:
            return f"{item!r} is unknown; accepted are {', '.join(limits['choices'])}"
        if limits["minimum"] is not None and item < limits["minimum"]:
            return f"must be at least {limits['minimum']}"
    if len(set(items)) != len(items):
        return "a value comes twice; name each once"
    return None


def define(flag_values: flags.FlagValues) -> None:
    """Defines one flag an option, and --help."""
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=flag_values)
    for name, field in Options.__dataclass_fields__.items():
        default, text = field.default, field.metadata["help"]
        if isinstance(default, bool):
            flags.DEFINE_bool(name, default, text, flag_values=flag_values)
        elif isinstance(default, int):
            flags.DEFINE_integer(name, default, text, flag_values=flag_values)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, list(map(str, default)), text, flag_values=flag_values)
        else:
            flags.DEFINE_string(name, default, text, flag_values=flag_values)


def parse(argv: Sequence[str]) -> Options | None:
    """The options that command-line arguments describe; None where they ask for help.

    Args:
        argv: The program's name and its arguments.

    Raises:
        UserError: An unknown flag, or a value that does not parse or is refused.
    """
    flag_values = flags.FlagValues()
    define(flag_values)
    try:
        rest = flag_values(list(argv))
    except flags.Error as error:
        raise UserError(" ".join(str(error).split()) + " (--help lists all flags)") from error
    if flag_values["help"].value:
        return None
    if len(rest) > 1:
        raise UserError(
            f"unexpected argument {rest[1]!r}: options are given as --name=value (--help lists them)."
        )
    values: dict[str, Any] = {name: flag_values[name].value for name in Options.__dataclass_fields__}
    values["memory_sweep"] = _whole_numbers("memory_sweep", values["memory_sweep"])
    for name in ("penalties", "dtype_policies", "jit_compile"):
        values[name] = tuple(values[name])
    return Options(**values)


def help_text() -> str:
    """All flags with their defaults."""
    lines = [
        "usage: python -m tf_fullbatch.benchmark [--name=value ...]",
        "",
        "Times one training step over random images, for each precision and penalty, beside a bare loop of",
        "forward and backward passes.",
        "",
    ]
    for name, field in Options.__dataclass_fields__.items():
        default, choices = field.default, field.metadata["choices"]
        many = isinstance(default, tuple)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        accepted = f"{'any' if many else 'one'} of {', '.join(choices)}; " if choices else ""
        lines += [f"  --{name}=({accepted}default {shown or 'unset'})", f"      {field.metadata['help']}"]
    return "\n".join(lines)


def _whole_numbers(name: str, texts: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(int(text) for text in texts)
    except ValueError:
        raise UserError(f"--{name}={','.join(texts)}: expected whole numbers separated by commas.") from None
