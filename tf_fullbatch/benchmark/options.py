"""What the benchmark is asked to measure: its flags and their checks; imports no TensorFlow."""

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.benchmark.comparisons import AUGMENTED, CURVATURE, METHOD_WORKS, METHODS, PYTORCH, SMALL
from tf_fullbatch.config.runtime import DTYPE_POLICIES
from tf_fullbatch.config.step import PENALTIES
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.settings import flag_parsing
from tf_fullbatch.settings.fields import check_ranges, refuse_repeats, refuse_without_effect, setting
from tf_fullbatch.settings.flag_parsing import help_lines

JIT_CHOICES = ("auto", "on", "off")
_STEP = (
    "model", "image_size", "num_classes", "micro_batch_size", "samples", "repeats", "penalties", "dtype_policies",
    "jit_compile", "first_micro_batch", "memory_sweep", "help_seconds", "own_arrays", "report_runs",
    "seconds", "json",
)  # fmt: skip
SUITES: dict[str, tuple[str, ...]] = {
    "step": _STEP,
    "small": ("rows", "repeats", "seconds", "json"),
    "pytorch": ("torch_python", "rows", "repeats", "seconds", "json"),
    "curvature": ("rows", "repeats", "seconds", "json"),
    "optimizers": ("works", "rows", "repeats", "seconds", "json"),
    "streaming": (
        "jpeg_megabytes",
        "model",
        "image_size",
        "micro_batch_size",
        "repeats",
        "seconds",
        "json",
    ),
    "augmentation": (
        "model",
        "image_size",
        "micro_batch_size",
        "samples",
        "rows",
        "repeats",
        "seconds",
        "json",
    ),
    "scaling": ("repeats", "json"),
    "models": ("image_size", "rows", "seconds", "json"),
    "gpu": ("report", "device", "scale", "minutes", "fresh", "torch_python"),
}
"""Suite -> the flags that it reads."""
IMAGE_MODELS = tuple(name for name, kind in MODELS.items() if not kind.takes_tokens)
"""The networks that take images."""
_ROWS = {
    "small": tuple(SMALL),
    "pytorch": tuple(PYTORCH),
    "curvature": CURVATURE,
    "optimizers": tuple(METHODS),
    "augmentation": tuple(AUGMENTED),
    "models": IMAGE_MODELS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The benchmark's settings; each is a flag of the same name."""

    suite: str = setting(
        "step",
        "step: a full-batch step beside a bare loop; small: small networks beside loops written by hand and Keras' "
        "fit; pytorch: beside plain PyTorch; curvature: products of the Hessian beside gradients, and what measures of "
        "curvature spend; optimizers: what steps take beyond their gradient evaluations; augmentation: steps with "
        "each augmentation beside steps without; streaming: images decoded in each pass beside loaded ones; "
        "scaling: sums and steps over replicas and workers beside the cost model; models: images per second and peak "
        "memory of every network; "
        "gpu: everything worth knowing of a GPU, with a report.",
        choices=tuple(SUITES),
    )
    model: str = setting(
        "resnet18",
        "Network (step, augmentation, streaming).",
        choices=IMAGE_MODELS,
        listed_by="python -m tf_fullbatch.benchmark --help",
    )
    image_size: int = setting(
        32, "Side of the images in pixels (step, augmentation, streaming, models).", minimum=4
    )
    num_classes: int = setting(10, "Classes of the random labels (step).", minimum=2)
    micro_batch_size: int = setting(
        128, "Samples of one forward and backward pass (step, augmentation, streaming).", minimum=1
    )
    samples: int = setting(512, "Samples of one training step (step, augmentation).", minimum=1)
    repeats: int = setting(
        5,
        "Rounds; in each, everything is timed once, and medians over rounds are reported (step, small, pytorch, "
        "curvature, optimizers, augmentation, streaming, scaling).",
        minimum=1,
    )
    penalties: tuple[str, ...] = setting(
        ("none", "forward_differences", "nested_tape", "forward_over_reverse"),
        "Penalties, separated by commas (step).",
        choices=PENALTIES,
    )
    dtype_policies: tuple[str, ...] = setting(
        ("float32",), "Precisions, separated by commas (step).", choices=DTYPE_POLICIES
    )
    jit_compile: tuple[str, ...] = setting(
        ("auto",),
        "Whether XLA compiles a micro-batch's gradient, one or more separated by commas; auto: on a GPU (step).",
        choices=JIT_CHOICES,
    )
    first_micro_batch: bool = setting(
        False,
        "Measure instead the time from process start to the first finished micro-batch, once each (step).",
    )
    memory_sweep: tuple[int, ...] = setting(
        (),
        "Measure instead the peak memory of full-batch steps of resnet_tiny over these numbers of 32x32 images, such "
        "as 1000,50000 (step).",
        minimum=1,
    )
    help_seconds: bool = setting(
        False, "Measure instead how long each command takes to show its --help (step)."
    )
    own_arrays: bool = setting(
        False, "Measure instead passes over an .npz beside the same built-in data (step)."
    )
    report_runs: tuple[int, ...] = setting(
        (), "Measure instead reports of these numbers of runs, such as 30,300 (step).", minimum=1
    )
    rows: tuple[str, ...] = setting(
        (),
        f"Rows to measure, separated by commas; unset: all. small: {', '.join(SMALL)}. pytorch: {', '.join(PYTORCH)}. "
        f"curvature: {', '.join(CURVATURE)}. optimizers: {', '.join(METHODS)}. augmentation: {', '.join(AUGMENTED)}. "
        "models: names of networks.",
    )
    works: tuple[str, ...] = setting(
        (), "What to train on, separated by commas; unset: all (optimizers).", choices=tuple(METHOD_WORKS)
    )
    seconds: float = setting(
        2.0,
        "About how long one timing takes, in as many passes as that needs; 0: one pass (small, pytorch, "
        "curvature, optimizers, streaming, models, --own_arrays; augmentation: of it alone).",
        minimum=0,
    )
    jpeg_megabytes: float = setting(
        20.0, "Size of the set of JPEGs of 500x375 that is made, in 10^6 bytes (streaming).", above=0
    )
    torch_python: str | None = setting(
        None,
        "Python interpreter that has PyTorch, see tf_fullbatch/benchmark/pytorch (pytorch; gpu, where there is one).",
    )
    report: str | None = setting(
        None, "Folder for the report; what lies there finished is not measured again (gpu)."
    )
    device: str = setting("gpu", "cpu: try the suite without a GPU (gpu).", choices=("gpu", "cpu"))
    scale: str = setting(
        "full",
        "full: ResNet-18 at CIFAR-10's size; small: a tiny network, to try the suite (gpu).",
        choices=("full", "small"),
    )
    minutes: float = setting(
        20.0, "Time for all; what did not fit is measured by the same command later (gpu).", above=0
    )
    fresh: bool = setting(False, "Measure again what lies finished in the report's folder (gpu).")
    json: str | None = setting(
        None,
        "File to write every raw figure to (step, small, pytorch, curvature, optimizers, augmentation, "
        "streaming, scaling, models).",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        refuse_repeats(self, ("penalties", "dtype_policies", "jit_compile", "memory_sweep", "rows", "works"))
        unread = tuple(
            f.name for f in dataclasses.fields(self) if f.name not in ("suite", *SUITES[self.suite])
        )
        refuse_without_effect(self, unread, f"with --suite={self.suite}")
        known = _ROWS.get(self.suite, ())
        if not set(self.rows) <= set(known):
            raise UserError(f"--rows={','.join(self.rows)}: accepted are {', '.join(known)}.")
        if self.suite == "pytorch" and self.torch_python is None:
            raise UserError("--suite=pytorch needs --torch_python=PATH, a Python that has PyTorch.")
        if self.torch_python is not None and shutil.which(self.torch_python) is None:
            raise UserError(f"--torch_python={self.torch_python}: give the path of a Python interpreter.")
        if self.suite == "gpu" and self.report is None:
            raise UserError("--suite=gpu needs --report=DIR, the folder for its report.")
        if self.report is not None and Path(self.report).exists() and not Path(self.report).is_dir():
            raise UserError(f"--report={self.report}: give the path of a folder.")
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
        "Times training steps over random images beside plain loops. A flag belongs to the suites in brackets.",
        "",
    ]
    return "\n".join(lines + [line for field in dataclasses.fields(Options) for line in help_lines(field)])
