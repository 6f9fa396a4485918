"""The figures of docs/scaling.md. `python -m tests.scaling_examples` prints its tables and draws its picture anew.

`python -m tf_fullbatch.main` with an example's flags, --dry_run and a cluster prints the same.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from matplotlib.axes import Axes

from tf_fullbatch.config import cli_flags
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.display.axes import GREY, PLAIN, finish, new_figure
from tf_fullbatch.display.text import counted, format_table
from tf_fullbatch.run import build
from tf_fullbatch.run.cluster_text import cluster_text
from tf_fullbatch.run.memory import size_text
from tf_fullbatch.run.splits import blank_splits
from tf_fullbatch.run.work import work_of
from tf_fullbatch.scaling.cluster import OPTIONS, Cluster, parsed
from tf_fullbatch.scaling.devices import DEVICES
from tf_fullbatch.scaling.quantities import EXAMPLES_OF
from tf_fullbatch.scaling.step_cost import Work, run_cost, step_cost

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "scaling.png"

_BFLOAT16 = "--dtype_policy=mixed_bfloat16"
EXAMPLES: dict[str, tuple[str, ...]] = {
    "CIFAR-10": ("--flagfile=flags/cifar10/fb_clipped.flags",),
    "CIFAR-10, penalty": ("--flagfile=flags/cifar10/fb_regularized.flags",),
    "CIFAR-10, penalty, micro-batches of 32": ("--flagfile=flags/cifar10/fb_strong_reg.flags",),
    "ImageNet": ("--flagfile=flags/imagenet/fb_clipped.flags", _BFLOAT16),
    "ImageNet, penalty": ("--flagfile=flags/imagenet/fb_regularized.flags", _BFLOAT16),
    "ImageNet from memory": (
        "--flagfile=flags/imagenet/fb_clipped.flags",
        _BFLOAT16,
        "--norandom_resized_crop",
    ),
    "ImageNet from memory, penalty": (
        "--flagfile=flags/imagenet/fb_regularized.flags",
        _BFLOAT16,
        "--norandom_resized_crop",
    ),
}
"""Name -> flags. Without random crops, images are decoded once, into nodes' memory where that has twice the room."""
WHOLE = ("64x8:h100", "64x8:a100")
"""Clusters whose whole text is printed of each."""
VARIED = {
    "ImageNet": ("64x8:h100", "64x8:a100", "512x1:h100"),
    "ImageNet, penalty": (
        "64x8:h100", "64x8:a100", "512x1:h100", "64x8:h100,cores=32", "64x8:h100,cores=32,decode=10ms",
        "64x8:h100,between=1Gbit,latency=50us", "512x1:rtx4090", "1x1:h100",
    ),
    "ImageNet from memory, penalty": (
        "64x8:h100", "64x8:h100,between=10Gbit,latency=50us", "64x8:h100,between=1Gbit,latency=50us", "2x32x8:h100",
        "2x32x8:h100,wan=10Gbit", "8x8x8:h100", "512x1:rtx4090", "512x1:rtx4090,between=1Gbit",
        "64x8:h100,spread=0.2", "64x8:h100,device_spread=0.02", "64x8:h100,device_spread=0.1",
        "64x8:h100,mtbf=100h", "64x8:h100,mtbf=10h", "64x8:h100,mtbf=10h,notice=2m", "1x1:h100,mtbf=1h",
        "1x1:h100,mtbf=1h,notice=2m",
    ),
    "CIFAR-10, penalty": (
        "64x8:h100", "49x8:h100", "7x8:h100", "64x8:h100,between=10Gbit,latency=50us", "2x32x8:h100",
        "7x8:h100,spread=0.2",
        "49x8:h100,spread=0.2", "49x8:h100,device_spread=0.1", "49x8:h100,mtbf=10h", "49x8:h100,mtbf=10h,notice=2m",
    ),
}  # fmt: skip
"""Example -> clusters that are compared."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_LINKS = {
    "400 GB/s between nodes": "1x8:h100",
    "10 Gbit/s between nodes": "1x8:h100,between=10Gbit,latency=50us",
    "1 Gbit/s between nodes": "1x8:h100,between=1Gbit,latency=50us",
}
_MOST = 16384


def work(flags: Sequence[str]) -> Work:
    """A run, without its data."""
    config = cli_flags.parse(["main", *flags, "--dry_run", "--cluster=1x1:h100"])
    if config is None:
        raise ValueError("--help is no run")
    parts = build.assemble(config, tf.distribute.get_strategy(), splits=blank_splits(config))
    return work_of(config, parts.model, parts.splits, None)


def varied(one: Work, clusters: Sequence[str]) -> str:
    """What clusters make of a run, a row each."""
    rows = [_row(one, parsed(text), text) for text in clusters]
    columns = (
        "cluster",
        "step",
        "computing",
        "idle",
        "stragglers",
        "all-reduce",
        "input",
        "run",
        "failures add",
        "best every",
    )
    return format_table(columns, rows, "<" + ">" * (len(columns) - 1))


def by_size(works: Mapping[str, Work]) -> str:
    """The cost of each example on 8, 64 and 512 devices of two kinds, as Markdown."""
    lines = [
        "| | GPUs | rounds | as fast | step | computing | idle | all-reduce | input | run | GPU hours |",
        "|---|" + 10 * "---|",
    ]
    for name, one in works.items():
        for kind in ("h100", "a100"):
            for nodes in (1, 8, 64):
                lines.append(_size_line(name, one, parsed(f"{nodes}x8:{kind}")))
    return "\n".join(lines)


def _size_line(name: str, one: Work, cluster: Cluster) -> str:
    cost, hours = step_cost(one, cluster), run_cost(one, cluster).seconds / 3600
    rounds = one.plan(cluster.replicas).rounds(0)
    shares = (100 * part / cost.seconds for part in (cost.useful, cost.idle, cost.all_reduce, cost.input))
    cells = (
        f"{name}, {cluster.kind}", f"{cluster.replicas}", f"{rounds:,}", f"{pieces(one.micro_batches, rounds):,}",
        f"{cost.seconds:.3g} s", *(f"{share:.1f} %" for share in shares),
        f"{hours:.3g} h", f"{hours * cluster.replicas:,.3g}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def device_table() -> str:
    """What there is of devices, as Markdown."""
    lines = [
        "| kind | float32 | tf32 | bfloat16 | reached | memory | within a node | between nodes | host memory | cores | "
        "source |",
        "|---|" + 10 * "---|",
    ]
    policies = ("float32", "tf32", "mixed_bfloat16")
    for name, device in DEVICES.items():
        peaks = [f"{device.flops[p] / 1e12:g}" if p in device.flops else "-" for p in policies]
        reached = ", ".join(f"{100 * device.reached[p]:g} %" for p in policies if p in device.reached)
        memory = "the host's" if device.memory is None else size_text(device.memory)
        links = f"{size_text(device.inside)}/s", f"{size_text(device.between)}/s"
        host = "the host's" if device.host_memory is None else size_text(device.host_memory)
        cores = "-" if device.cores is None else f"{device.cores:g}"
        cells = (f"`{name}`", *peaks, reached or "-", memory, *links, host, cores, device.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def option_table() -> str:
    """The options of a cluster and their defaults, as Markdown."""
    told = dict(re.findall(r"(?m)^        (\w+): ((?:.+\n)(?: {12}.+\n)*)", str(Cluster.__doc__)))
    defaults = {field.name: field.default for field in dataclasses.fields(Cluster)}
    lines = ["| option | what | such as | default |", "|---|---|---|---|"]
    for name, kind in OPTIONS.items():
        default = defaults[name]
        shown = (
            "its kind's"
            if default is dataclasses.MISSING
            else "none"
            if default is None
            else _shown(kind, float(default))
        )
        what = " ".join(told[name].split())
        lines.append(f"| `{name}` | {what} | {EXAMPLES_OF[kind]} | {shown} |")
    return "\n".join(lines)


def _shown(kind: str, value: float) -> str:
    if kind == "rate":
        return f"{size_text(value)}/s"
    return (
        f"{100 * value:g} %"
        if kind == "share"
        else f"{value:,g} s"
        if value < 3600
        else f"{value / 3600:,g} h"
    )


def _row(one: Work, cluster: Cluster, text: str) -> list[str]:
    cost, run = step_cost(one, cluster), run_cost(one, cluster)
    shares = (cost.useful, cost.idle, cost.stragglers, cost.all_reduce, cost.input)
    return [
        text,
        f"{cost.seconds:.3g} s",
        *(f"{100 * share / cost.seconds:.1f} %" for share in shares),
        f"{run.seconds / 3600:.3g} h",
        f"{100 * (run.seconds / run.working - 1):.2f} %",
        "-"
        if cluster.notice is not None
        else f"{counted(run.best, 'step')}, {100 * (run.best_seconds / run.working - 1):.2f} %",
    ]


def draw(works: Mapping[str, Work]) -> None:
    """Steps' speed over one device's against devices, of CIFAR-10 and of ImageNet from memory, with penalty."""
    picture = new_figure(11, 4.6)
    panels = picture.subplots(1, 2, sharey=True)
    for panel, name in zip(panels, ("CIFAR-10, penalty", "ImageNet from memory, penalty"), strict=True):
        _draw_curves(panel, works[name])
        panel.set_title(f"{name.replace(', ', ' with ')}: {works[name].micro_batches:,} micro-batches")
    panels[0].set_ylabel("Steps per second, over those of one GPU")
    handles, labels = panels[0].get_legend_handles_labels()
    picture.legend(handles, labels, frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    picture.savefig(PICTURE, dpi=110)


def _draw_curves(panel: Axes, one: Work) -> None:
    alone = step_cost(one, parsed("1x1:h100")).seconds
    counts = sorted({*range(1, 9), *(8 * round(2 ** (i / 8)) for i in range(89))})
    counts = [count for count in counts if count <= _MOST]
    panel.plot(counts, counts, color=GREY, linewidth=1, linestyle="--", label="as many times faster as GPUs")
    for (label, text), colour in zip(_LINKS.items(), _COLOURS, strict=False):
        cluster = parsed(text)
        faster = [alone / step_cost(one, cluster.of(count)).seconds for count in counts]
        panel.plot(counts, faster, color=colour, linewidth=1.6, label=label)
    sites = parsed("2x1x8:h100")
    halves = [count for count in counts if count >= 16 and count % 16 == 0]
    faster = [alone / step_cost(one, _on_two_sites(sites, count)).seconds for count in halves]
    panel.plot(
        halves, faster, color=_COLOURS[3], linewidth=1.6, label="two sites, 1 Gbit/s and 50 ms between them"
    )
    panel.axvline(one.micro_batches, color=GREY, linewidth=1, linestyle=":")
    panel.set(
        xscale="log", yscale="log", xlabel="GPUs (H100, 8 per node)", xlim=(1, _MOST), ylim=(0.8, _MOST)
    )
    ticks = [1, 8, 64, 512, 4096]
    panel.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.minorticks_off()
    panel.xaxis.set_major_formatter(PLAIN)
    panel.yaxis.set_major_formatter(PLAIN)
    finish(panel)


def _on_two_sites(cluster: Cluster, count: int) -> Cluster:
    return dataclasses.replace(cluster, nodes=count // 16)


def main() -> None:
    """Prints the tables and draws the picture."""
    works = {name: work(flags) for name, flags in EXAMPLES.items()}
    for name, one in works.items():
        for text in WHOLE:
            print(f"\n# {name}, {text}\n\n{cluster_text(one, parsed(text))}")
    print(f"\n{by_size(works)}\n\n{device_table()}\n\n{option_table()}")
    for name, clusters in VARIED.items():
        print(f"\n# {name}\n\n{varied(works[name], clusters)}")
    draw(works)


if __name__ == "__main__":
    main()
