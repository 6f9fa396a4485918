"""The report of --suite=gpu: checks and tables in Markdown, from the documents of its parts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tf_fullbatch.benchmark.tables import header, mebibytes, number
from tf_fullbatch.display.text import format_count

Document = Mapping[str, Any]
Documents = Mapping[str, Document | None]
Row = Sequence[object]

# Finite differences divide rounding by a small step.
LIMITS = {"float64": (1e-9, 1e-6), "float32": (1e-3, 1e-2)}
"""Precision -> largest relative difference that passes: of exact gradients and products, of finite differences."""
CIFAR10_SAMPLES = 50_000
_SPEED_COLUMNS = (
    "precision", "micro-batch", "XLA", "penalty", f"s per pass of {CIFAR10_SAMPLES}", "images/s",
    "least to largest", "TFLOP/s", "share of limit", "x no penalty", "peak memory",
)  # fmt: skip


def render(where: Document, documents: Documents) -> tuple[str, bool]:
    """The report, and whether all that was measured went well: every check passed and no part failed.

    Args:
        where: What the part "environment" found, and `git_revision`.
        documents: Name of each part -> what it left, with `result` or `error`; None for one not measured yet.
    """
    results = {name: d["result"] for name, d in documents.items() if d is not None and "result" in d}
    checks = [*_trajectory_checks(results), *_replica_checks(results), *_test_checks(results)]
    passed = all(row[-1] == "passed" for row in checks) and not any(
        "error" in (d or {}) for d in documents.values()
    )
    sections = [
        "# Measured by `python -m tf_fullbatch.benchmark --suite=gpu`",
        _where(where, documents),
        "## Checks",
        "Full-batch steps of a small smooth network with BatchNorm: largest relative difference of losses and weights.",
        _markdown(("check", "case", "difference", "limit", "outcome"), checks),
        "## Passes",
        "Medians. The limit is what a large matrix product reaches on this device in the same precision: "
        + _limit_text(results)
        + ". TFLOP/s count convolutions and matrix products alone, and a penalty as one more gradient "
        "(central_differences: two).",
        _markdown(_SPEED_COLUMNS, _speed_rows(results)),
        *_profile(results),
        *_pytorch(results),
        "## Parts",
        _markdown(("part", "device", "date", "revision", "s", "outcome"), _part_rows(documents)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n", passed


def difference(first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]]) -> float:
    """The largest difference between two trajectories, relative to the largest value of the same quantity."""
    found = []
    for key in ("losses", "probes"):
        # float: JSON has NaN and infinities as text.
        one, two = ([float(value) for value in values[key]] for values in (first, second))
        largest = max(abs(value) for value in one)
        found += [abs(a - b) / largest for a, b in zip(one, two, strict=True)]
    return float("nan") if any(math.isnan(value) for value in found) else max(found)


def _check(name: str, case: str, policy: str, penalty: str, found: float) -> Row:
    limit = LIMITS[policy]["differences" in penalty]
    return name, case, f"{found:.1e}", f"{limit:.0e}", "passed" if found <= limit else "FAILED"


def _trajectory_checks(results: Mapping[str, Any]) -> list[Row]:
    if not {"trajectories_cpu", "trajectories_device"} <= results.keys():
        return []
    pairs = zip(results["trajectories_cpu"]["cases"], results["trajectories_device"]["cases"], strict=True)
    rows: list[Row] = []
    for here, there in pairs:
        policy, penalty = there["dtype_policy"], there["penalty"]
        name, case = "device against CPU", f"{policy}, XLA {there['jit_compile']}, {penalty}"
        error = here.get("error") or there.get("error")
        if error:
            rows.append((name, case, error.replace("|", "/"), None, "FAILED"))
        else:
            rows.append(_check(name, case, policy, penalty, difference(here, there)))
    return rows


def _replica_checks(results: Mapping[str, Any]) -> list[Row]:
    found = results.get("two_logical_devices", {"cases": ()})
    return [
        _check(
            f"two logical {found['kind']}s against one",
            f"{case['dtype_policy']}, nested_tape",
            case["dtype_policy"],
            "nested_tape",
            difference(case["one"], case["two"]),
        )
        for case in found["cases"]
    ]


def _test_checks(results: Mapping[str, Any]) -> list[Row]:
    if results.get("tests", {}).get("exit_code") is None:
        return []
    found = results["tests"]
    said = "; ".join([found["summary"].strip("= "), *found["failed"]]).replace("|", "/")
    return [("tests", ", ".join(found["folders"]), said, None, "FAILED" if found["exit_code"] else "passed")]


def _limit_text(results: Mapping[str, Any]) -> str:
    limits = results.get("matrix_products", {"tflops_per_second": {}})["tflops_per_second"]
    return ", ".join(f"{policy} {value:.3g} TFLOP/s" for policy, value in limits.items()) or "not measured"


def _speed_rows(results: Mapping[str, Any]) -> list[Row]:
    limits = results.get("matrix_products", {"tflops_per_second": {}})["tflops_per_second"]
    found = [(n, r) for n, r in results.items() if n.startswith(("speed_", "penalty_"))]
    plain = {_setting(r): r["seconds"] for _, r in found if r["loop"] == "none"}
    rows: list[Row] = []
    for _, r in found:
        limit, tflops = limits.get(r["dtype_policy"]), r["tflops_per_second"]
        speeds = sorted(r["images_per_second"] * r["seconds"] / timing["seconds"] for timing in r["rounds"])
        base = plain.get(_setting(r)) if r["loop"] != "none" else None
        rows.append(
            (
                r["dtype_policy"],
                r["micro_batch_size"],
                "on" if r["jit_compile"] else "off",
                r["loop"],
                f"{CIFAR10_SAMPLES / r['images_per_second']:.3g}",
                format_count(r["images_per_second"]),
                f"{format_count(speeds[0])} to {format_count(speeds[-1])}",
                number(tflops, ".3g"),
                f"{tflops / limit:.0%}" if limit and tflops else None,
                f"{r['seconds'] / base:.2f}" if base else None,
                mebibytes(r["peak_memory_bytes"]),
            )
        )
    return rows


def _setting(r: Mapping[str, Any]) -> tuple[object, ...]:
    return r["dtype_policy"], r["jit_compile"], r["micro_batch_size"]


def _profile(results: Mapping[str, Any]) -> list[str]:
    if "profile" not in results:
        return []
    found = results["profile"]
    if found["idle_share"] is None:
        return [
            "The profile has no event of a GPU (on one: is CUPTI installed?), so its idle share is not known."
        ]
    return [
        f"TensorBoard's profile of a pass: the GPU is idle for {found['idle_share']:.1%} of the "
        f"{found['span_seconds']:.3g} s from its first to its last event."
    ]


def _pytorch(results: Mapping[str, Any]) -> list[str]:
    if "pytorch" not in results:
        return []
    found = results["pytorch"]
    speed = found["samples"] / found["seconds"]
    return [
        f"PyTorch {found['torch']} on {found['device']}, the same network and pass in {found['dtype_policy']}, "
        f"micro-batch {found['micro_batch_size']}, channels_last {found['channels_last']}, compiled "
        f"{found['compiled']}: {format_count(speed)} images/s."
    ]


def _where(where: Document, documents: Documents) -> str:
    card = [str(value) for key, value in where.items() if key.startswith("name,") and value]
    built = f"TensorFlow built for CUDA {where['cuda'] or '-'}, cuDNN {where['cudnn'] or '-'}"
    open_parts = [name for name, document in documents.items() if document is None]
    lines = [
        header(where["machine"], where["versions"]),
        *card,
        built,
        f"revision {where['git_revision'] or '-'}",
    ]
    if open_parts:
        lines.append(f"**Not measured yet, the same command goes on:** {', '.join(open_parts)}.")
    return "  \n".join("\n".join(lines).splitlines())


def _part_rows(documents: Documents) -> list[Row]:
    return [
        (
            name,
            document["device"],
            document["date"],
            str(document["git_revision"] or "-")[:8],
            f"{document['wall_seconds']:.0f}",
            document.get("error", "done").replace("|", "/"),
        )
        for name, document in documents.items()
        if document is not None
    ]


def _markdown(headers: Sequence[str], rows: Sequence[Row]) -> str:
    if not rows:
        return "Not measured yet."
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(headers), ["---"] * len(headers), *cells])
