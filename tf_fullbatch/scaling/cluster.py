"""A cluster in words: `64x8:h100`, `2x32x8:h100,wan=1Gbit,wan_latency=50ms`."""

import dataclasses
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tf_fullbatch.errors import UserError
from tf_fullbatch.scaling.devices import DEVICES, Device
from tf_fullbatch.scaling.quantities import quantity

MOST_DEVICES = 2**20

OPTIONS: dict[str, str] = {
    "inside": "rate",
    "inside_latency": "time",
    "between": "rate",
    "latency": "time",
    "wan": "rate",
    "wan_latency": "time",
    "micro_batch": "time",
    "overhead": "time",
    "spread": "share",
    "device_spread": "share",
    "reader": "rate",
    "decode": "time",
    "cores": "count",
    "host_memory": "memory",
    "disk": "rate",
    "mtbf": "time",
    "restart": "time",
    "notice": "time",
}
"""Option of --cluster -> kind of quantity; `Cluster` says what they are."""
_OF_KIND = ("inside", "inside_latency", "between", "latency", "overhead", "cores", "host_memory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Devices, what lies between them, and what goes wrong.

    Bandwidths are bytes per second and direction, times are seconds, memory is bytes.

    Attributes:
        kind: A key of `DEVICES`.
        sites: Places with a slow line between them.
        nodes: Machines per site, each a worker.
        devices: Devices per node, each a replica.
        inside: Bandwidth of a device to the others of its node.
        inside_latency: Of one message there.
        between: Bandwidth of a node to the others of its site.
        latency: Of one message there.
        wan: Bandwidth of a site to the others.
        wan_latency: Of one message there.
        efficiency: Share of the peak that training reaches; None for the device's own.
        micro_batch: Of one micro-batch with all its gradient evaluations, as measured; None to compute it.
        overhead: Of a step beside its micro-batches: calls, figures, the update.
        spread: Standard deviation of a micro-batch's time, each drawn anew, as a share of the mean.
        device_spread: Standard deviation of devices' speeds, drawn once per step and device, as a share of the mean.
        reader: Bandwidth at which a node copies samples that stream, decoded, from host memory into chunks and brings
            these to its devices. The default is between the 3 (shuffled) and 9 GB/s at which one process copied
            images of 224x224 on two cores (docs/performance.md); those of 32x32 it copied at 1 to 2 GB/s.
        decode: Of a core to decode an image that stays in its file; None for what was measured
            (docs/performance.md): 3.1 ms, with --shorter_side 4.2 ms, with --random_resized_crop 3.0 ms.
        cores: Of a node, all of which decode.
        host_memory: Of a node.
        disk: Bandwidth at which a checkpoint is written.
        mtbf: Mean time between failures of one node. The default is what Llama 3's training saw: 419 unexpected
            interruptions of 2,048 nodes in 54 days (arXiv 2407.21783, section 3.3.4).
        restart: From a failure to the first step after it.
        notice: Time between a preemption's notice and its end: enough to save the last completed step. None for
            failures without notice, which lose all since the last checkpoint.
    """

    kind: str
    sites: int = 1
    nodes: int = 1
    devices: int = 1
    inside: float
    inside_latency: float
    between: float
    latency: float
    wan: float = 1.25e8
    wan_latency: float = 0.05
    efficiency: float | None = None
    micro_batch: float | None = None
    overhead: float
    spread: float = 0.02
    device_spread: float = 0.0
    reader: float = 5e9
    decode: float | None = None
    cores: float | None
    host_memory: float | None
    disk: float = 1e9
    mtbf: float = 6300 * 3600.0
    restart: float = 300.0
    notice: float | None = None

    @property
    def device(self) -> Device:
        """What its devices are."""
        return DEVICES[self.kind]

    @property
    def is_timed_here(self) -> bool:
        """Whether a micro-batch's time is that of this machine, by --dry_run."""
        return self.micro_batch is None and not self.device.flops

    @property
    def workers(self) -> int:
        """Machines, over all sites."""
        return self.sites * self.nodes

    @property
    def replicas(self) -> int:
        """Devices in all."""
        return self.workers * self.devices

    @property
    def name(self) -> str:
        """NODESxDEVICES, with the sites before them where there are several."""
        sizes = (self.sites, self.nodes, self.devices) if self.sites > 1 else (self.nodes, self.devices)
        return "x".join(map(str, sizes))

    def of(self, replicas: int) -> "Cluster":
        """So many of its devices on one site, on as few nodes as have them; whole nodes where there are several."""
        nodes = -(-replicas // self.devices)
        return dataclasses.replace(self, sites=1, nodes=nodes, devices=min(replicas, self.devices))


def parsed(text: str, efficiency: float | None = None) -> Cluster:
    """The cluster that --cluster and --cluster_efficiency describe.

    Args:
        text: `[SITESx]NODESxDEVICES:KIND`, then `,option=value` as often as wanted.
        efficiency: Share of the peak that training reaches; None for the device's own.

    Raises:
        UserError: It is none: what came, and what is accepted.
    """
    given = f"--cluster={text}"
    head, *options = text.split(",")
    match = re.fullmatch(r"(?:(\d+)x)?(\d+)x(\d+):(\w+)", head.strip())
    if match is None:
        raise UserError(
            f"{given}: give [SITESx]NODESxDEVICES:KIND, such as 64x8:h100, then ,option=value; kinds are "
            f"{', '.join(DEVICES)}, options {', '.join(OPTIONS)}."
        )
    sites, nodes, devices = (int(number or 1) for number in match.groups()[:3])
    if not 1 <= sites * nodes * devices <= MOST_DEVICES:
        raise UserError(f"{given}: {sites * nodes * devices} devices; accepted are 1 to {MOST_DEVICES:,}.")
    kind = _known(given, "device", match[4].lower(), DEVICES)
    device = DEVICES[kind]
    own = {name: getattr(device, name) for name in _OF_KIND}
    chosen = _options(given, options)
    for name in ("wan", "wan_latency"):
        if name in chosen and sites == 1:
            raise UserError(
                f"{given}: {name} has no effect on one site; give SITESxNODESxDEVICES, or leave it out."
            )
    if "host_memory" in chosen and device.memory is None:
        raise UserError(
            f"{given}: host_memory has no effect on {kind}, whose memory is this machine's: leave it out."
        )
    if efficiency is not None and "micro_batch" in chosen:
        raise UserError(
            f"--cluster_efficiency={efficiency:g} has no effect on a micro_batch of a given time (--cluster={text}): "
            "leave one of them out."
        )
    return Cluster(
        kind=kind, sites=sites, nodes=nodes, devices=devices, efficiency=efficiency, **own | chosen
    )


def _options(given: str, parts: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        key, equals, value = part.strip().partition("=")
        if not equals:
            raise UserError(
                f"{given}: {part.strip()!r} is no option=value. Options are {', '.join(OPTIONS)}."
            )
        _known(given, "option", key, OPTIONS)
        if key in found:
            raise UserError(f"{given}: {key} comes twice.")
        found[key] = quantity(f"--cluster: {key}={value}", OPTIONS[key], value)
    return found


def _known(given: str, what: str, name: str, names: Sequence[str] | dict) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=2)
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    raise UserError(f"{given}: there is no {what} {name!r}{hint} Accepted are {', '.join(names)}.")
