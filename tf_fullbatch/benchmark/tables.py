"""What the tables of all suites share: the header, and cells."""

from collections.abc import Mapping
from typing import Any


def header(machine: Mapping[str, Any], versions: Mapping[str, str | None]) -> str:
    """What it ran on, in two lines."""
    bfloat16 = {None: "", True: ", bfloat16 instructions", False: ", no bfloat16 instructions"}
    threads = (machine["intra_op_threads"] or "auto", machine["inter_op_threads"] or "auto")
    return (
        f"{machine['device']}, {machine['cores']} cores, threads {threads[0]} (intra-op) and {threads[1]} (inter-op)"
        f"{bfloat16[machine['bfloat16_instructions']]}\n"
        + ", ".join(f"{package} {version or '-'}" for package, version in versions.items())
    )


def number(value: float | None, form: str) -> str | None:
    """A figure in a format such as ".3f"; None, shown as "-", for None."""
    return None if value is None else f"{value:{form}}"


def mebibytes(count: int) -> str:
    """Bytes in MiB."""
    return f"{count / 2**20:.0f} MiB"
