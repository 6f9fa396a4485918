"""What a run would take on a cluster, in words."""

import math

from tf_fullbatch.data.plan import pieces
from tf_fullbatch.display.text import (
    counted,
    format_count,
    format_duration,
    format_percentage,
    format_table,
)
from tf_fullbatch.run.memory import size_text
from tf_fullbatch.scaling import all_reduce
from tf_fullbatch.scaling.cluster import Cluster
from tf_fullbatch.scaling.decoding import decoding_seconds
from tf_fullbatch.scaling.step_cost import (
    RunCost,
    StepCost,
    Work,
    epoch_seconds,
    input_seconds,
    micro_batch_seconds,
    most_replicas,
    run_cost,
    stays_in_files,
    step_cost,
    streams,
)

SHOWN = (1, 8, 64, 512)
"""Devices beside the cluster's own."""
COLUMNS = (
    "devices", "rounds", "step", "computing", "idle", "stragglers", "all-reduce", "input", "overhead", "faster",
    "pass", "whole run", "device hours",
)  # fmt: skip
HALF = 0.5


def cluster_text(work: Work, cluster: Cluster, *, fits: bool = True) -> str:
    """The cost of a run on 1, 8, 64 and 512 devices and on the cluster, where it stops scaling, and what was assumed.

    Args:
        work: The run.
        cluster: Where.
        fits: Whether it fits into the memory there; else the times are said to be those of a cluster that has more.

    Raises:
        UserError: Nothing says what a micro-batch takes there.
    """
    rows = [("on", _where(cluster)), ("a micro-batch", _micro_batch(work, cluster))]
    if not fits:
        rows.append(("does not fit", "see above; all that follows is of a cluster with enough memory"))
    rows.append(("all-reduce", _reduction(work, cluster)))
    if streams(work, cluster):
        rows.append(("input", _input(work, cluster)))
    rows += [("most devices", _most(work, cluster)), ("failures", _failures(work, cluster))]
    if work.at_least:
        rows.append(("beside that", "the method asks for more: this counts one gradient evaluation per step"))
    rows.append(("assumed", _assumed(work, cluster)))
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, "", _table(work, cluster)])


def clusters(cluster: Cluster) -> list[Cluster]:
    """1, 8, 64 and 512 devices, fewer than the cluster's or more, on nodes like its own, and the cluster itself."""
    found = {one.name: one for one in (*map(cluster.of, SHOWN), cluster)}
    return sorted(found.values(), key=lambda one: (one.replicas, one.sites))


def _table(work: Work, cluster: Cluster) -> str:
    one = step_cost(work, cluster.of(1)).seconds
    rows = [_row(work, each, one) for each in clusters(cluster)]
    return format_table(COLUMNS, rows, "<" + ">" * (len(COLUMNS) - 1))


def _row(work: Work, cluster: Cluster, one: float) -> list[str]:
    cost, run = step_cost(work, cluster), run_cost(work, cluster)
    shares = (cost.useful, cost.idle, cost.stragglers, cost.all_reduce, cost.input, cost.overhead)
    return [
        f"{cluster.replicas} ({cluster.name})",
        f"{work.plan(cluster.replicas).rounds(0):,}",
        _seconds(cost.seconds),
        *(f"{100 * share / cost.seconds:.1f} %" for share in shares),
        f"{one / cost.seconds:.4g}x",
        _seconds(epoch_seconds(work, cluster)),
        format_duration(run.seconds),
        format_count(run.seconds * cluster.replicas / 3600),
    ]


def _where(cluster: Cluster) -> str:
    sites = f"{counted(cluster.sites, 'site')} of " if cluster.sites > 1 else ""
    return (
        f"{sites}{counted(cluster.nodes, 'node')} with {counted(cluster.devices, 'device')} each, "
        f"{cluster.device.product}: {counted(cluster.replicas, 'replica')}"
    )


def _micro_batch(work: Work, cluster: Cluster) -> str:
    seconds = micro_batch_seconds(work, cluster)
    shown = f"{1000 * seconds:.4g} ms of {counted(work.micro_batch_size, 'sample')}"
    if cluster.micro_batch is not None:
        return f"{shown}, as given"
    if cluster.is_timed_here:
        return f"{shown}, as timed here"
    peak = cluster.device.flops[work.dtype_policy]
    reached = cluster.efficiency or cluster.device.reached[work.dtype_policy]
    return (
        f"{shown}: {format_count(work.micro_batch_size * work.flops)}FLOP at {100 * reached:.3g} % of "
        f"{format_count(peak)}FLOP/s ({work.dtype_policy})"
    )


def _input(work: Work, cluster: Cluster) -> str:
    """How samples come to the devices, and how fast, beside what the devices take."""
    cost, coming = step_cost(work, cluster), input_seconds(work, cluster)
    times = f"{_seconds(coming)} of a step, beside {_seconds(cost.seconds - cost.input)} of all else"
    if not stays_in_files(work, cluster):
        return f"stream from host memory: {times}"
    of_core = work.decode_seconds if cluster.decode is None else cluster.decode
    if cluster.cores is None:
        return f"stream, decoded in each pass, which is left out: give cores=...; {times}"
    rate = 1 / decoding_seconds(1, of_core, cluster.cores)
    return (
        f"stream, decoded in each pass: {_small(of_core)} of a core per image, {cluster.cores:g} cores per node, "
        f"{rate:,.0f} images/s per node: {times}"
    )


def _reduction(work: Work, cluster: Cluster) -> str:
    vector = work.reduced_bytes / work.passes
    text = (
        f"{counted(work.passes, 'vector')} of {size_text(vector)} per step, "
        f"{format_duration(work.passes * all_reduce.seconds(cluster, vector))}"
    )
    if cluster.sites > 1:
        flat = work.passes * all_reduce.flat_ring_seconds(cluster, vector)
        text += f"; in one ring over all nodes, whatever lies between them, {format_duration(flat)}"
    return text


def _most(work: Work, cluster: Cluster) -> str:
    """Where it stops scaling, and why."""
    most, cost = work.micro_batches, step_cost(work, cluster)
    text = f"{most:,}, one per micro-batch of a step ({work.update_batch_size:,} samples / {work.micro_batch_size})"
    if cluster.replicas > most:
        text += f"; {cluster.replicas - most:,} of {cluster.replicas:,} have nothing to do"
    rounds = work.plan(cluster.replicas).rounds(0)
    fewest = pieces(most, rounds)
    if fewest < min(most, cluster.replicas):
        text += f"; {fewest:,} have the same {counted(rounds, 'round')} as {cluster.replicas:,}"
    half = min(most, most_replicas(work, cluster, HALF))
    upto = f"up to {half:,} on one site" if half else "nowhere"
    text += f"; at least half of the time computing {upto}"
    return f"{text}. On {cluster.name} most is lost to {_lost(cost)}"


def _lost(cost: StepCost) -> str:
    """The largest loss of a step, with its share."""
    words = {
        "idle": "replicas without a micro-batch",
        "stragglers": "stragglers",
        "all_reduce": "the all-reduce",
        "input": "waiting for samples",
        "overhead": "overhead",
    }
    name = max(words, key=lambda loss: getattr(cost, loss))
    return f"{words[name]}, {format_percentage(getattr(cost, name) / cost.seconds)}"


def _failures(work: Work, cluster: Cluster) -> str:
    run = run_cost(work, cluster)
    if math.isinf(run.mtbf):
        return "none"
    text = (
        f"one in {format_duration(run.mtbf)}; saving ({size_text(work.checkpoint_bytes)}, "
        f"{format_duration(run.checkpoint)}) every {counted(run.every, 'step')} and failing add "
        f"{format_percentage(run.seconds / run.working - 1)}"
    )
    return text if cluster.notice is not None else f"{text}; the best is every {_best(run)}"


def _best(run: RunCost) -> str:
    return f"{counted(run.best, 'step')}, {format_percentage(run.best_seconds / run.working - 1)}"


def _assumed(work: Work, cluster: Cluster) -> str:
    lines = [f"{size_text(cluster.inside)}/s and {_small(cluster.inside_latency)} within a node"]
    if cluster.workers > 1:
        lines.append(f"{size_text(cluster.between)}/s and {_small(cluster.latency)} between nodes")
    if cluster.sites > 1:
        lines.append(f"{size_text(cluster.wan)}/s and {_small(cluster.wan_latency)} between sites")
    lines += [
        f"{_small(cluster.overhead)} overhead per step",
        f"micro-batches vary by {100 * cluster.spread:g} %, devices by {100 * cluster.device_spread:g} %",
        f"samples copied at {size_text(cluster.reader)}/s per node where they stream",
        f"checkpoints at {size_text(cluster.disk)}/s",
        f"a node fails every {cluster.mtbf / 3600:,.0f} h, restart {format_duration(cluster.restart)}",
    ]
    if cluster.notice is not None:
        lines.append(f"{format_duration(cluster.notice)} of notice")
    return ", ".join(lines)


def _small(seconds: float) -> str:
    return f"{1e6 * seconds:.4g} us" if seconds < 1e-3 else f"{1e3 * seconds:.4g} ms"


def _seconds(seconds: float) -> str:
    """Three digits of what is short."""
    return format_duration(seconds) if seconds >= 100 else f"{seconds:.3g} s"
