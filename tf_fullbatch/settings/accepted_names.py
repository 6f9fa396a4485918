"""What is said of a name that is none of the accepted ones."""

from collections.abc import Collection

MOST = 20
"""Names that a message lists whole."""
LISTED_BY = "python -m tf_fullbatch.main --help"
"""The command that lists the names of most settings."""


def accepted_instead(
    names: Collection[str], near: Collection[str], others: str = "", listed_by: str = LISTED_BY
) -> str:
    """What is accepted in the place of a name that is not, with its full stop: few names whole, before those near it.

    Of more than `MOST` the near ones come first, and then how to list them all.

    Args:
        names: Built-in ones.
        near: What may have been meant, the nearest first.
        others: What is accepted beside names.
        listed_by: The command that lists them.
    """
    meant = f"did you mean {' or '.join(near)}?" if near else ""
    beside = f", {others}" if others else ""
    if len(names) <= MOST:
        return f"accepted are {', '.join(names)}{beside}{f'; {meant}' if meant else '.'}"
    counted = f"are {len(names)} names ({listed_by} lists them){beside}."
    return f"{meant} Accepted {counted}" if meant else f"accepted {counted}"
