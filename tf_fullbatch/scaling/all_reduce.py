"""Seconds that the sum of one vector over all replicas takes.

Notation: n members, a vector of B bytes, bandwidth b in bytes per second and direction, latency l in seconds.
"""

import math
from typing import NamedTuple

from tf_fullbatch.scaling.cluster import Cluster


class Link(NamedTuple):
    """What lies between members.

    Attributes:
        bandwidth: Bytes per second and direction, of each member, or of the one medium that all share.
        latency: Seconds of one message.
        shared: Whether they share one medium, such as the memory of one machine.
    """

    bandwidth: float
    latency: float
    shared: bool = False


def ring(members: int, size: float, link: Link) -> float:
    """Reduce-scatter and all-gather around a ring, `2 (n - 1) / n B / b + 2 (n - 1) l`: the least bandwidth there is.

    Where all share one medium, the n messages of a round go one after the other: `2 (n - 1) B / b + 2 (n - 1) l`.

    Source: Patarasuk, Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC 69.
    """
    if members == 1:
        return 0.0
    moved = 2 * (members - 1) / members * size * (members if link.shared else 1)
    return moved / link.bandwidth + 2 * (members - 1) * link.latency


def tree(members: int, size: float, link: Link) -> float:
    """Up and down two pipelined binary trees, `2 B / b + 2 ceil(log2 n) l`; shared, `2 (n - 1) B / b + ...`.

    Source: Sanders, Speck, Traeff 2009, "Two-tree algorithms for full bandwidth broadcast, reduction and scan",
    Parallel Computing 35, whose startup terms beyond the trees' depth are left out.
    """
    if members == 1:
        return 0.0
    moved = 2 * size * (members - 1 if link.shared else 1)
    return moved / link.bandwidth + 2 * math.ceil(math.log2(members)) * link.latency


def star(members: int, size: float, link: Link) -> float:
    """All to one and back, over that one's link: `2 (n - 1) B / b + 2 l`."""
    return 2 * (members - 1) * size / link.bandwidth + 2 * link.latency if members > 1 else 0.0


def seconds(cluster: Cluster, size: float) -> float:
    """What the sum of a vector of `size` bytes takes on a cluster.

    On one node TensorFlow's MirroredStrategy sums on one device (`star`). Between workers it takes collective
    operations: first within nodes, then between those of a site, then between sites, each by the faster of `ring` and
    `tree`; what is summed within is as large as what goes between.
    """
    inside = Link(cluster.inside, cluster.inside_latency)
    if cluster.workers == 1:
        return star(cluster.devices, size, inside)
    levels = (
        (cluster.devices, inside),
        (cluster.nodes, Link(cluster.between, cluster.latency)),
        (cluster.sites, Link(cluster.wan, cluster.wan_latency)),
    )
    return sum(min(ring(members, size, link), tree(members, size, link)) for members, link in levels)


def flat_ring_seconds(cluster: Cluster, size: float) -> float:
    """The same by one ring over all workers, in which each round waits for the slowest of all lines."""
    wan = cluster.sites > 1
    slowest = Link(
        min(cluster.between, cluster.wan) if wan else cluster.between,
        max(cluster.latency, cluster.wan_latency) if wan else cluster.latency,
    )
    inside = Link(cluster.inside, cluster.inside_latency)
    return ring(cluster.devices, size, inside) + ring(cluster.workers, size, slowest)
