"""Training samples that are left out."""

import re

import numpy as np

from tf_fullbatch.data.controls.listing import lists_ids, read_listing
from tf_fullbatch.errors import UserError

_SHOWN = 5


def left_out_ids(value: str) -> np.ndarray:
    """The ids that --leave_out names, int64, ascending.

    Args:
        value: Ids and ranges (both ends included) between commas or spaces, or a file of such, with `#` comments.

    Raises:
        UserError: There is no such file, or something in it is neither an id nor a range.
    """
    text, where = value, ""
    if not lists_ids(value):
        text, where = re.sub(r"#.*", "", read_listing(value)), " in it"
    parts = re.split(r"[\s,]+", text.strip(" \t\r\n,"))
    ids = [_ids_of(value, where, part) for part in parts if part]
    if not ids:
        raise UserError(f"--leave_out={value}: there is no id{where}. Give ids and ranges, such as 3,10-19.")
    return np.unique(np.concatenate(ids))


def _ids_of(value: str, where: str, part: str) -> np.ndarray:
    found = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if last < first or last >= 2**30:
        raise UserError(
            f"--leave_out={value}: {part!r}{where} is neither an id nor an ascending range. Give ids and ranges, such "
            "as 3,10-19."
        )
    return np.arange(first, last + 1, dtype=np.int64)


def kept_positions(value: str, sample_ids: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Positions of the training samples that are not left out, int64, ascending.

    Args:
        value: Of --leave_out.
        sample_ids: int64 `[samples]`, of the training samples.
        held_out: int64, of those held out of the training set for validation.

    Raises:
        UserError: Ids that no training sample has, or none are left.
    """
    ids = left_out_ids(value)
    unknown = ids[~np.isin(ids, sample_ids)]
    if len(unknown):
        more = f" and {len(unknown) - _SHOWN:,} others" if len(unknown) > _SHOWN else ""
        there = (
            f"; {np.isin(unknown, held_out).sum():,} of them held out for validation" if len(held_out) else ""
        )
        raise UserError(
            f"--leave_out={value}: {', '.join(map(str, unknown[:_SHOWN]))}{more} are no ids of the "
            f"{len(sample_ids):,} training samples ({sample_ids.min()} to {sample_ids.max()}, as --classes, "
            f"--train_size and --validation_size leave them{there}). Name training samples alone."
        )
    kept = np.flatnonzero(~np.isin(sample_ids, ids))
    if not len(kept):
        raise UserError(f"--leave_out={value}: it leaves no training sample. Keep at least one.")
    return kept
