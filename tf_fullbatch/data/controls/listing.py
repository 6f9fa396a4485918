"""The file of samples that --leave_out may name."""

import hashlib
import re
from pathlib import Path

from tf_fullbatch.errors import UserError


def lists_ids(value: str) -> bool:
    """Whether a value of --leave_out lists ids itself, rather than naming a file of them."""
    return re.fullmatch(r"[\d\s,-]+", value) is not None


def read_listing(value: str) -> str:
    """The text of the file that a value of --leave_out names.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise UserError(
            f"--leave_out={value}: cannot read this file ({reason}). Give ids and ranges, such as 3,10-19, or a file "
            "of them."
        ) from error


def listing_hash(value: str) -> str | None:
    """SHA-256 of the file that a value of --leave_out names; None where it lists ids itself.

    Raises:
        UserError: It cannot be read.
    """
    return None if lists_ids(value) else hashlib.sha256(read_listing(value).encode()).hexdigest()
