"""What a step and a run take on a cluster, term by term."""

import dataclasses
import functools
import math
from dataclasses import dataclass

from tf_fullbatch.data.plan import BatchPlan, pieces
from tf_fullbatch.data.shares import MEMORY_SHARE, STREAMED_SHARE
from tf_fullbatch.errors import UserError
from tf_fullbatch.scaling import all_reduce, failures, stragglers
from tf_fullbatch.scaling.cluster import Cluster
from tf_fullbatch.scaling.decoding import decoding_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What a run computes, moves and saves, wherever it runs.

    Attributes:
        samples: N, samples per pass.
        update_batch_size: Samples per step.
        micro_batch_size: Samples per micro-batch.
        epochs: Passes.
        dtype_policy: Precision.
        flops: Of one sample's step: all its gradient evaluations.
        reduced_bytes: Of the vectors that a step sums over the replicas.
        at_least: Whether steps may ask for more gradient evaluations than are counted.
        passes: Such vectors, and passes over the samples, per step.
        sample_bytes: Of one sample, once decoded.
        copies: How often each sample is there, of arrays that are there once.
        brought: Samples that are brought to a device for each: 2 with partners to mix with.
        streams: Whether samples stream on one node too.
        decode_seconds: Of a core per image, where they come from a folder; 0 where nothing is decoded but once.
        in_files: Whether these stay in their files and are decoded in each pass; None where host memory decides.
        folder_bytes: Of all that the folder has, once decoded.
        checkpoint_bytes: Of one checkpoint.
        checkpoint_steps: Steps between checkpoints; None where they are timed.
        checkpoint_seconds: Seconds between them; None where steps are counted.
        micro_batch_seconds: Of one micro-batch on this machine; None where none was timed.
    """

    samples: int
    update_batch_size: int
    micro_batch_size: int
    epochs: int
    dtype_policy: str = "float32"
    flops: float
    reduced_bytes: float
    at_least: bool = False
    passes: int = 1
    sample_bytes: float = 0.0
    copies: int = 1
    brought: int = 1
    streams: bool = False
    decode_seconds: float = 0.0
    in_files: bool | None = None
    folder_bytes: float = 0.0
    checkpoint_bytes: float = 0.0
    checkpoint_steps: int | None = None
    checkpoint_seconds: float | None = 600.0
    micro_batch_seconds: float | None = None

    def plan(self, replicas: int) -> BatchPlan:
        """How its passes are cut over so many replicas."""
        return BatchPlan(
            samples=self.samples,
            update_batch_size=self.update_batch_size,
            micro_batch_size=self.micro_batch_size,
            replicas=replicas,
        )

    @property
    def micro_batches(self) -> int:
        """K of a whole step: more replicas than these have nothing to do."""
        return pieces(self.update_batch_size, self.micro_batch_size)

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.epochs * pieces(self.samples, self.update_batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """Seconds of a step; they add up.

    Attributes:
        useful: What the micro-batches take, shared out evenly: `K t / n`.
        idle: Waiting for replicas that have one micro-batch more, `(ceil(K / n) - K / n) t`.
        stragglers: Waiting for the slowest of those that have most.
        all_reduce: Summing over the replicas.
        input: Waiting for samples, which otherwise come while the last ones are computed.
        overhead: Calls, figures, the update.
    """

    useful: float
    idle: float
    stragglers: float
    all_reduce: float
    input: float
    overhead: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(getattr(self, field.name) for field in dataclasses.fields(self))

    @property
    def efficiency(self) -> float:
        """The share of the devices' time in which micro-batches are computed."""
        return self.useful / self.seconds


def micro_batch_seconds(work: Work, cluster: Cluster) -> float:
    """t, of one micro-batch with all its gradient evaluations: measured, or `FLOP / (peak * reached)`.

    Raises:
        UserError: Nothing says what one takes there.
    """
    if cluster.micro_batch is not None:
        return cluster.micro_batch
    device = cluster.device
    if not device.flops:
        if work.micro_batch_seconds is None:
            raise UserError(
                f"--cluster={cluster.name}:{cluster.kind}: no micro-batch was timed here; give its time, such as "
                "micro_batch=0.5s."
            )
        return work.micro_batch_seconds
    if work.dtype_policy not in device.flops:
        raise UserError(
            f"--cluster={cluster.name}:{cluster.kind}: {device.product} has no arithmetic for --dtype_policy="
            f"{work.dtype_policy}; accepted are {', '.join(device.flops)}."
        )
    if not work.flops:
        raise UserError(
            f"--cluster={cluster.name}:{cluster.kind}: no operations could be counted in the network's layers; "
            "give a micro-batch's time, such as micro_batch=0.5s."
        )
    reached = cluster.efficiency or device.reached[work.dtype_policy]
    return work.micro_batch_size * work.flops / (device.flops[work.dtype_policy] * reached)


def step_cost(work: Work, cluster: Cluster, step: int = 0) -> StepCost:
    """What a step takes.

    Args:
        work: The run.
        cluster: Where.
        step: Which of an epoch: the last may be smaller.

    Raises:
        UserError: See `micro_batch_seconds`.
    """
    replicas, t = cluster.replicas, micro_batch_seconds(work, cluster)
    plan = work.plan(replicas)
    micro_batches = plan.step_samples(step) / work.micro_batch_size  # the last one may be smaller, too
    computing = plan.rounds(step) if micro_batches > 1 else micro_batches
    slowest = _slowest(plan.micro_batches(step), replicas, cluster.spread, cluster.device_spread)
    late = max(0.0, slowest - plan.rounds(step))
    vector = work.reduced_bytes / work.passes
    cost = StepCost(
        useful=micro_batches / replicas * t,
        idle=(computing - micro_batches / replicas) * t,
        stragglers=late * t,
        all_reduce=work.passes * all_reduce.seconds(cluster, vector),
        input=0.0,
        overhead=cluster.overhead,
    )
    waited = max(0.0, input_seconds(work, cluster, step) - cost.seconds)
    return dataclasses.replace(cost, input=waited)


def input_seconds(work: Work, cluster: Cluster, step: int = 0) -> float:
    """What the node with most samples takes to decode and to copy those of a step; 0 where they stay on the devices.

    Chunks are made one after the other, two ahead of each device, while the devices compute, sum and update: a step
    takes the longer of the two (`data.stream.StreamSource`).
    """
    if not streams(work, cluster):
        return 0.0
    plan = work.plan(cluster.replicas)
    samples = work.passes * work.brought * _of_fullest_node(plan, cluster, step)
    copying = samples * work.sample_bytes / cluster.reader
    if not stays_in_files(work, cluster):
        return copying
    of_core = work.decode_seconds if cluster.decode is None else cluster.decode
    return copying + decoding_seconds(samples, of_core, cluster.cores)


def _of_fullest_node(plan: BatchPlan, cluster: Cluster, step: int) -> int:
    """Samples of a step on the node that has most, the first: micro-batch k is of replica k mod n."""
    micro_batches = plan.micro_batches(step)
    whole, rest = divmod(micro_batches, cluster.replicas)
    most = whole * cluster.devices + min(rest, cluster.devices)
    has_last = 0 < rest <= cluster.devices or cluster.workers == 1  # which may be smaller
    lacking = micro_batches * plan.micro_batch_size - plan.step_samples(step) if has_last else 0
    return most * plan.micro_batch_size - lacking


@functools.lru_cache(maxsize=4096)
def _slowest(micro_batches: int, replicas: int, spread: float, device_spread: float) -> float:
    return stragglers.slowest(stragglers.groups(micro_batches, replicas), spread, device_spread)


def epoch_seconds(work: Work, cluster: Cluster) -> float:
    """A pass over the training set, without checkpoints and failures; the last step may be smaller."""
    whole = work.steps // work.epochs
    last = step_cost(work, cluster, whole - 1).seconds
    return last if whole == 1 else (whole - 1) * step_cost(work, cluster).seconds + last


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCost:
    """A whole run's time, and what saving and failing add to it.

    Attributes:
        seconds: Expected, from the first step to the last checkpoint.
        working: The same without checkpoints and failures.
        checkpoint: Seconds of a checkpoint.
        every: Steps between checkpoints.
        best: The number of steps between checkpoints of the least expected time.
        best_seconds: The run's, with that.
        mtbf: Seconds between failures of the whole cluster.
    """

    seconds: float
    working: float
    checkpoint: float
    every: int
    best: int
    best_seconds: float
    mtbf: float


def run_cost(work: Work, cluster: Cluster) -> RunCost:
    """What the whole run takes: steps, checkpoints and failures, see `failures`.

    With `notice` a failure loses the step under way alone; saving then counts as part of the start.
    """
    working = work.epochs * epoch_seconds(work, cluster)
    step = working / work.steps
    checkpoint = work.checkpoint_bytes / cluster.disk
    mtbf = cluster.mtbf / cluster.workers
    every = work.checkpoint_steps or math.ceil((work.checkpoint_seconds or 0.0) / step)
    every = min(max(1, every), work.steps)

    def slowdown(steps: int) -> float:
        if cluster.notice is None:
            return failures.slowdown(steps, step, checkpoint, mtbf, cluster.restart)
        lost = failures.segment_seconds(step, mtbf, cluster.restart + min(checkpoint, cluster.notice))
        return lost / step + checkpoint / (steps * step)

    best = work.steps
    if cluster.notice is None:
        best = failures.best_steps(step, checkpoint, mtbf, cluster.restart, work.steps)
    return RunCost(
        seconds=working * slowdown(every),
        working=working,
        checkpoint=checkpoint,
        every=every,
        best=best,
        best_seconds=working * slowdown(best),
        mtbf=mtbf,
    )


def most_replicas(work: Work, cluster: Cluster, efficiency: float) -> int:
    """The most replicas of `sizes` that compute for at least such a share of their time; 0 where none do."""
    for replicas in reversed(sizes(work, cluster)):
        if step_cost(work, cluster.of(replicas)).efficiency >= efficiency:
            return replicas
    return 0


def sizes(work: Work, cluster: Cluster) -> list[int]:
    """Numbers of replicas worth having, ascending: the fewest for each number of rounds, in whole nodes where there are
    several.

    One more replica changes nothing until a step has a round less, and more than one per micro-batch never do anything.
    """
    found, replicas, most = [], 1, work.micro_batches
    while True:
        nodes = pieces(replicas, cluster.devices)
        found.append(replicas if nodes == 1 else nodes * cluster.devices)
        rounds = pieces(most, replicas)
        if rounds == 1:
            return sorted(set(found))
        replicas = pieces(most, rounds - 1)


def streams(work: Work, cluster: Cluster) -> bool:
    """Whether samples travel in each step, as those of several workers, and of sets too large to stay, do."""
    if work.streams or cluster.workers > 1 or stays_in_files(work, cluster):
        return True
    memory = cluster.device.memory
    return memory is not None and work.samples / work.copies * work.sample_bytes > MEMORY_SHARE * memory


def stays_in_files(work: Work, cluster: Cluster) -> bool:
    """Whether images are decoded in each pass; else once, into host memory."""
    if not work.decode_seconds or work.in_files is not None:
        return bool(work.decode_seconds and work.in_files)
    return cluster.host_memory is not None and work.folder_bytes > STREAMED_SHARE * cluster.host_memory
