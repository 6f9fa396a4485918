"""What the benchmark is asked to measure: its flags and their checks; imports no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags

from tf_fullbatch.config import run as run_config
from tf_fullbatch.config.settings import check_ranges, setting
from tf_fullbatch.config.step import PENALTIES
from tf_fullbatch.outcomes import UserError

JIT_CHOICES = ("auto", "on", "off")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The benchmark's settings; each is a flag of the same name."""

    model: str = setting("resnet18", "Network.", choices=run_config.MODELS)
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
        f"Penalties, of {', '.join(PENALTIES)}.",
    )
    dtype_policies: tuple[str, ...] = setting(
        ("float32",), f"Precisions, of {', '.join(run_config.DTYPE_POLICIES)}."
    )
    jit_compile: tuple[str, ...] = setting(
        ("auto",),
        "Whether XLA compiles a micro-batch's gradient: one or more of on, off, auto (on a GPU: on).",
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
        for name, accepted in (
            ("penalties", PENALTIES),
            ("dtype_policies", run_config.DTYPE_POLICIES),
            ("jit_compile", JIT_CHOICES),
        ):
            self._check_list(name, accepted)
        if self.json is not None and (
            Path(self.json).is_dir() or not Path(self.json).absolute().parent.is_dir()
        ):
            raise UserError(f"--json={self.json}: give the path of a file in an existing folder.")

    def _check_list(self, name: str, accepted: tuple[str, ...]) -> None:
        values = getattr(self, name)
        shown = f"--{name}={','.join(values)}"
        if not values:
            raise UserError(f"{shown}: name at least one of {', '.join(accepted)}.")
        for value in values:
            if value not in accepted:
                raise UserError(f"{shown}: {value!r} is unknown; accepted are {', '.join(accepted)}.")
        if len(set(values)) != len(values):
            raise UserError(f"{shown}: a value comes twice; name each once.")


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
    return Options(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


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
        default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        choices = field.metadata["choices"]
        accepted = f"one of {', '.join(choices)}; " if choices else ""
        lines += [f"  --{name}=({accepted}default {default or 'unset'})", f"      {field.metadata['help']}"]
    return "\n".join(lines)


def _whole_numbers(name: str, texts: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(int(text) for text in texts)
    except ValueError:
        raise UserError(f"--{name}={','.join(texts)}: expected whole numbers separated by commas.") from None
