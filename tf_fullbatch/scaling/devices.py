"""Devices by name: what their makers' data sheets say, and what share of it networks are assumed to reach."""

from collections.abc import Mapping
from dataclasses import dataclass

_GB, _TB, _TFLOPS, _GBIT = 1e9, 1e12, 1e12, 1e9 / 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device, and the machine that it usually stands in.

    Attributes:
        product: Its whole name.
        source: Where the figures are from.
        flops: dtype policy -> peak floating-point operations per second, without sparsity; empty where a micro-batch
            that was timed says what it takes.
        reached: dtype policy -> assumed share of the peak in the convolutions and matrix products of training.
        memory: Bytes; None where it is the host's.
        host_memory: Bytes of a node's own memory, whatever its number of devices; None where it is this machine's.
        cores: Of a node's processors, not their threads; None where they are this machine's.
        inside: Bytes per second and direction between a device and the others of its node.
        inside_latency: Seconds of one message there.
        between: Bytes per second and direction between a node and the others.
        latency: Seconds of one message there.
        overhead: Assumed seconds of a step beside its micro-batches: calls, figures, the update.
    """

    product: str
    source: str
    flops: Mapping[str, float]
    reached: Mapping[str, float]
    memory: float | None
    host_memory: float | None
    cores: float | None
    inside: float
    inside_latency: float = 10e-6
    between: float
    latency: float = 20e-6
    overhead: float = 5e-3


def _peaks(float64: float, float32: float, tf32: float, bfloat16: float | None) -> dict[str, float]:
    """dtype policy -> FLOP/s, of TFLOP/s."""
    given = {"float64": float64, "float32": float32, "tf32": tf32, "mixed_bfloat16": bfloat16}
    return {name: _TFLOPS * value for name, value in given.items() if value is not None}


def _reached(tf32: float, bfloat16: float) -> dict[str, float]:
    """dtype policy -> assumed share of the peak."""
    return {"float64": 0.5, "float32": 0.5, "tf32": tf32, "mixed_bfloat16": bfloat16}


DEVICES: dict[str, Device] = {
    "v100": Device(
        product="NVIDIA V100 SXM2 32 GB",
        source="NVIDIA V100 data sheet (2020); DGX-1 data sheet, 4 x 100 Gbit/s, 512 GB, 2 x 20 cores",
        flops=_peaks(7.8, 15.7, 15.7, None),
        reached={"float64": 0.5, "float32": 0.5, "tf32": 0.5},
        memory=32 * _GB,
        host_memory=512 * _GB,
        cores=40,
        inside=150 * _GB,
        between=400 * _GBIT,
    ),
    "a100": Device(
        product="NVIDIA A100 SXM4 80 GB",
        source="NVIDIA A100 data sheet (2022); DGX A100 640GB data sheet, 8 x 200 Gbit/s, 2 TB, 2 x 64 cores",
        flops=_peaks(9.7, 19.5, 156, 312),
        reached=_reached(0.15, 0.2),
        memory=80 * _GB,
        host_memory=2 * _TB,
        cores=128,
        inside=300 * _GB,
        between=1600 * _GBIT,
    ),
    "h100": Device(
        product="NVIDIA H100 SXM5 80 GB",
        source=(
            "NVIDIA H100 data sheet (2023), half of its figures with sparsity; DGX H100 data sheet, 8 x 400 Gbit/s, "
            "2 TB, 2 x 56 cores"
        ),
        flops=_peaks(34, 67, 494.5, 989.5),
        reached=_reached(0.1, 0.1),
        memory=80 * _GB,
        host_memory=2 * _TB,
        cores=112,
        inside=450 * _GB,
        between=3200 * _GBIT,
    ),
    "h200": Device(
        product="NVIDIA H200 SXM 141 GB",
        source=(
            "NVIDIA H200 data sheet (2024), half of its figures with sparsity; DGX H200, 8 x 400 Gbit/s, 2 TB, 2 x 56 "
            "cores (also NVIDIA's entries in MLPerf inference 4.1)"
        ),
        flops=_peaks(34, 67, 494.5, 989.5),
        reached=_reached(0.1, 0.1),
        memory=141 * _GB,
        host_memory=2 * _TB,
        cores=112,
        inside=450 * _GB,
        between=3200 * _GBIT,
    ),
    "rtx4090": Device(
        product="NVIDIA GeForce RTX 4090",
        source=(
            "NVIDIA Ada architecture white paper 2.02 (2023), PCIe 4.0 x16; 10 Gbit/s Ethernet, 64 GB and 16 cores are "
            "assumed"
        ),
        flops=_peaks(1.29, 82.6, 82.6, 165.2),
        reached={"float64": 0.5, "float32": 0.4, "tf32": 0.4, "mixed_bfloat16": 0.2},
        memory=24 * _GB,
        host_memory=64 * _GB,
        cores=16,
        inside=32 * _GB,
        between=10 * _GBIT,
        latency=50e-6,
    ),
    "cpu": Device(
        product="this machine's processor, as a replica of its own",
        source="a micro-batch that `--dry_run` times; its links are assumed",
        flops={},
        reached={},
        memory=None,
        host_memory=None,
        cores=None,
        inside=3.5 * _GB,
        inside_latency=1e-3,
        between=10 * _GBIT,
        latency=1e-3,
        overhead=3e-3,
    ),
}
"""--cluster=...:NAME."""
