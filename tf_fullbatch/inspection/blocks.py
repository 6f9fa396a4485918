"""Blocks of a curvature by the names of their variables."""

import difflib
from collections.abc import Sequence
from typing import Any

from tf_fullbatch.display.text import listed
from tf_fullbatch.errors import UserError


def blocks_of(variables: Sequence[Any], wanted: str | None, setting: str) -> dict[str, list[Any]]:
    """Name -> variables of each block.

    Args:
        variables: All there are, with paths such as "hidden/kernel".
        wanted: "each" for a block per variable; parts of paths between plus signs, a block for each; None for none.
        setting: What gave it, for errors.

    Raises:
        UserError: A name is part of no path, or stands twice.
    """
    if wanted is None:
        return {}
    if wanted == "each":
        return {v.path: [v] for v in variables}
    found = {}
    for name in wanted.split("+"):
        found[name] = [v for v in variables if name and name in v.path]
        if not found[name]:
            paths = [v.path for v in variables]
            near = difflib.get_close_matches(name, paths, cutoff=0.3) or paths
            raise UserError(
                f"{setting}={wanted}: no variable has {name!r} in its name; there are {listed(near, 5)}."
            )
    return found
