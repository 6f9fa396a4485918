"""--suite=gpu: checks and speeds of a GPU, part by part in processes of their own, and a report."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tf_fullbatch.benchmark import fresh_process, gpu_report
from tf_fullbatch.benchmark.comparisons import Workload
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.core.names import NOT_BY_XLA, PENALTIES
from tf_fullbatch.errors import RunError, UserError
from tf_fullbatch.records.files import read_json, write_json, write_text
from tf_fullbatch.records.summary import git_revision

Progress = Callable[[str], None]

_NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One measurement in a process of its own."""

    name: str
    """Names its file."""
    kind: str
    """A key of `in_process.KINDS`, or "pytorch"."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    on_cpu: bool = False
    """Whether GPUs are hidden from it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is measured."""

    work: Workload
    """Passes that are timed; precision and micro-batch size vary."""
    dtype_policies: tuple[str, ...]
    micro_batch_sizes: tuple[int, ...]
    """The middle one is that of penalties, profile and PyTorch."""
    repeats: int
    trajectories: tuple[tuple[str, str, str], ...]
    """(precision, XLA, penalty)."""
    matrix_size: int
    tests: tuple[str, ...]


SCALES = {
    "full": Scale(
        # A multiple of every micro-batch size, about half of CIFAR-10.
        work=Workload(model="resnet18", samples=24_576, micro_batch_size=512),
        dtype_policies=("mixed_bfloat16", "tf32", "float32"),
        micro_batch_sizes=(128, 512, 1024),
        repeats=3,
        trajectories=tuple(
            (policy, jit, penalty)
            for policy, jit in (("float64", "off"), ("float64", "on"), ("float32", "on"))
            for penalty in PENALTIES
            if jit == "off" or penalty not in NOT_BY_XLA
        ),
        matrix_size=8192,
        tests=("tests/core", "tests/optim", "tests/training"),
    ),
    "small": Scale(
        work=Workload(model="resnet_tiny", image_size=8, samples=256, micro_batch_size=32),
        dtype_policies=("mixed_bfloat16", "float32"),
        micro_batch_sizes=(16, 32),
        repeats=2,
        trajectories=(
            ("float64", "off", "nested_tape"),
            ("float64", "on", "none"),
            ("float32", "on", "none"),
        ),
        matrix_size=256,
        tests=("tests/config",),
    ),
}


def parts(options: Options) -> list[Part]:
    """Everything to measure, what matters most first."""
    scale = SCALES[options.scale]
    middle = scale.micro_batch_sizes[len(scale.micro_batch_sizes) // 2]
    half = _timed(scale, scale.dtype_policies[0], middle, "on")
    cases = {"cases": scale.trajectories, "steps": 5}
    without_xla = [(policy, "off", penalty) for policy, _, penalty in scale.trajectories]
    found = [
        Part(
            name="trajectories_cpu",
            kind="trajectories",
            arguments=cases | {"cases": without_xla},
            on_cpu=True,
        ),
        Part(name="trajectories_device", kind="trajectories", arguments=cases),
        Part(
            name="two_logical_devices",
            kind="replicas",
            arguments={"policies": ("float64", "float32"), "steps": 5, "memory_mib": 4096},
        ),
        Part(
            name="matrix_products",
            kind="matrix_products",
            arguments={"size": scale.matrix_size, "policies": scale.dtype_policies, "repeats": scale.repeats},
        ),
        *_speeds(scale, "on"),
        Part(name="profile", kind="profile", arguments={k: v for k, v in half.items() if k != "repeats"}),
        *(
            Part(name=f"penalty_{penalty}", kind="speed", arguments=_penalised(half, penalty))
            for penalty in PENALTIES[1:]
        ),
        *_speeds(scale, "off"),
        Part(name="tests", kind="tests", arguments={"folders": scale.tests}),
    ]
    if options.torch_python is not None:
        found.append(Part(name="pytorch", kind="pytorch", arguments=_pytorch(options, half)))
    return [dataclasses.replace(part, on_cpu=part.on_cpu or options.device == "cpu") for part in found]


def run(options: Options, progress: Progress) -> bool:
    """Measures what is missing in the report's folder, writes the report, and says whether all went well.

    Each part leaves parts/NAME.json as it ends, with `result` or `error`. One that failed is tried again after those
    that are missing; one that the time did not allow is left for the next call.

    Raises:
        UserError: There is no GPU, or the folder cannot be written.
    """
    deadline = time.monotonic() + 60 * options.minutes
    where, wanted = _environment(options), parts(options)
    folder = Path(str(options.report)) / "parts"
    folder.mkdir(parents=True, exist_ok=True)
    documents = {part.name: _stored(folder, part, where) for part in wanted}
    failed = [part for part in wanted if "error" in (documents[part.name] or {})]
    missing = [part for part in wanted if documents[part.name] is None]
    for part in wanted if options.fresh else missing + failed:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        progress(f"{part.name} ({left / 60:.1f} minutes left)")
        document = _measured(part, options, where, left)
        if document is not None:
            documents[part.name] = document
            write_json(_file(folder, part), document)
            progress(f"{part.name}: {document.get('error', 'done')}, {document['wall_seconds']:.0f} s")
            write_text(folder.parent / "README.md", gpu_report.render(where, documents)[0])
    text, passed = gpu_report.render(where, documents)
    write_text(folder.parent / "README.md", text)
    progress(f"report: {folder.parent / 'README.md'}")
    return passed


def _timed(scale: Scale, policy: str, micro_batch_size: int, jit: str) -> dict[str, Any]:
    work = dataclasses.replace(scale.work, dtype_policy=policy, micro_batch_size=micro_batch_size)
    return {"penalty": "none", "jit_compile": jit, "repeats": scale.repeats, **dataclasses.asdict(work)}


def _speeds(scale: Scale, jit: str) -> list[Part]:
    xla = "xla" if jit == "on" else "no_xla"
    return [
        Part(name=f"speed_{policy}_{size}_{xla}", kind="speed", arguments=_timed(scale, policy, size, jit))
        for policy in scale.dtype_policies
        for size in scale.micro_batch_sizes
    ]


def _penalised(plain: Mapping[str, Any], penalty: str) -> dict[str, Any]:
    """The arguments of a penalty's passes, compiled by XLA where that can be."""
    jit = {"jit_compile": "off"} if penalty in NOT_BY_XLA else {}
    return {**plain, "penalty": penalty, **jit}


def _pytorch(options: Options, half: Mapping[str, Any]) -> dict[str, Any]:
    on_gpu = options.device == "gpu"
    work = {f.name: half[f.name] for f in dataclasses.fields(Workload)}
    flags = {
        "seconds": 0,
        "repeats": half["repeats"],
        "device": "cuda" if on_gpu else "cpu",
        "compile": int(on_gpu),
    }
    return {"work": work, "flags": flags}


def _environment(options: Options) -> dict[str, Any]:
    """Where this is, measured by each call anew."""
    found = fresh_process.call("environment", {}, environment=_NO_GPU if options.device == "cpu" else None)
    if options.device == "gpu" and not found["gpus"]:
        raise UserError(
            "--suite=gpu: TensorFlow finds no GPU here. --device=cpu --scale=small tries the suite."
        )
    return {**found, "git_revision": git_revision(Path(__file__).parent)}


def _measured(
    part: Part, options: Options, where: Mapping[str, Any], timeout: float
) -> dict[str, Any] | None:
    """A part's document, with `result` or `error`; None where the time ended it."""
    started = time.monotonic()
    document = {
        **_identity(part, where),
        "git_revision": where["git_revision"],
        "date": datetime.now(UTC).date().isoformat(),
    }
    try:
        document["result"] = _call(part, options, timeout)
    except subprocess.TimeoutExpired:
        return None
    except RunError as error:
        document["error"] = str(error)
    return document | {"wall_seconds": time.monotonic() - started}


def _call(part: Part, options: Options, timeout: float) -> dict[str, Any]:
    if part.kind != "pytorch":
        environment = _NO_GPU if part.on_cpu else None
        return fresh_process.call(part.kind, part.arguments, environment=environment, timeout=timeout)
    work = Workload(**part.arguments["work"])
    return fresh_process.call_pytorch(str(options.torch_python), work, part.arguments["flags"], timeout)


def _identity(part: Part, where: Mapping[str, Any]) -> dict[str, Any]:
    """What a part is, as JSON gives it back."""
    described = {
        "part": part.name,
        "kind": part.kind,
        "arguments": dict(part.arguments),
        "on_cpu": part.on_cpu,
        "device": where["machine"]["device"],
    }
    return json.loads(json.dumps(described))


def _stored(folder: Path, part: Part, where: Mapping[str, Any]) -> dict[str, Any] | None:
    """The document of a part; None where there is none, or one of another device or other arguments."""
    file = _file(folder, part)
    document = read_json(file) if file.exists() else {}
    identity = _identity(part, where)
    return document if identity == {key: document.get(key) for key in identity} else None


def _file(folder: Path, part: Part) -> Path:
    return folder / f"{part.name}.json"
