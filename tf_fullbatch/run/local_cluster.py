"""Clusters of workers on this machine: their ports, and what TF_CONFIG tells each of them."""

import json
import socket
from collections.abc import Sequence


def cluster_configs(ports: Sequence[int]) -> list[str]:
    """TF_CONFIG of each worker of a cluster on this machine, one a port."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(len(ports))
    ]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on, each another one."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]
    finally:
        for bound in sockets:
            bound.close()
