"""Checkpoints of a run: a folder each, written under another name and renamed, the newest whole one found again.

A folder `step-00000060` bears its name only once everything in it (`checkpoint_files`) is on the disk, so a
killed process or a full disk never harms an earlier checkpoint. Two kinds of hidden folders can be left
behind; the next save clears them up: `.step-00000060.aside` is unfinished or half removed and never read;
`.step-00000060.replaced` is a checkpoint whose step was being saved again, and is read where the new one did
not arrive. One process writes a folder of checkpoints at a time; any number may read it.
"""

import operator
import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoint_files import read_arrays, sync_folder, verified_manifest, write_files
from tf_fullbatch.records.files import os_errors_as_user_errors

if TYPE_CHECKING:  # see checkpoint_files
    import numpy as np

_NAME = re.compile(r"step-(\d{8,})|\.step-(\d{8,})\.replaced")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        step: Optimizer updates completed.
        epoch: Passes over the training set completed.
        arrays: Name -> array.
        metadata: What else was saved, as JSON gives it back: tuples are lists, non-finite numbers the strings
            "nan", "inf" and "-inf", which `float()` reads.
        path: Its folder.
    """

    step: int
    epoch: float
    arrays: "dict[str, np.ndarray]"
    metadata: dict[str, Any]
    path: Path


def save_checkpoint(
    folder: str | os.PathLike[str],
    *,
    step: int,
    epoch: float,
    arrays: "Mapping[str, np.ndarray]",
    metadata: Mapping[str, Any],
) -> Path:
    """Writes a checkpoint, whole or not at all; one of the same step is replaced.

    Args:
        folder: The folder of checkpoints; made where it is missing, in a folder that is there.
        step: Optimizer updates completed.
        epoch: Passes over the training set completed.
        arrays: Name -> array with one of `checkpoint_files.DTYPES`; any name will do.
        metadata: Anything JSON can express.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: It cannot be written; the checkpoints that were there stay as they were.
        ValueError: A negative step, or an array of another dtype.
    """
    folder, step = Path(folder), operator.index(step)
    if step < 0:
        raise ValueError(f"step is {step}; it must not be negative.")
    final, temporary = folder / f"step-{step:08d}", _temporary(folder, step)
    with os_errors_as_user_errors(final):
        folder.mkdir(exist_ok=True)  # not its parents: a run whose folder was deleted ends
        _clear_up(folder)
        try:
            temporary.mkdir()
            write_files(temporary, step=step, epoch=float(epoch), arrays=arrays, metadata=metadata)
            _move_into_place(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return final


def load_checkpoint(path: str | os.PathLike[str], *, arrays: bool = True) -> Checkpoint:
    """Reads a checkpoint after checking every byte of it.

    Args:
        path: Its folder.
        arrays: False to read and check its manifest alone, without the arrays.

    Raises:
        UserError: It is missing, damaged, or of another format version.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"checkpoint {path} is missing: give the path of a folder step-<number>.")
    manifest = verified_manifest(path, arrays=arrays)
    return Checkpoint(
        step=manifest["step"],
        epoch=manifest["epoch"],
        arrays=read_arrays(path, manifest["arrays"]) if arrays else {},
        metadata=manifest["metadata"],
        path=path,
    )


def load_step(folder: str | os.PathLike[str], step: int) -> Checkpoint:
    """The checkpoint of a step.

    Raises:
        UserError: It is not among those kept, or damaged.
    """
    kept = {_step(path): path for path in list_checkpoints(folder)}
    if step not in kept:
        found = ", ".join(map(str, sorted(kept))) or "none"
        raise UserError(
            f"--step={step}: {os.fspath(folder)} has no such checkpoint; kept are the steps {found}."
        )
    return load_checkpoint(kept[step])


def list_checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """The folders of all checkpoints, whole or damaged, newest first; none where `folder` is missing."""
    found: dict[int, Path] = {}
    try:
        # Hidden names sort first: a replaced checkpoint counts only where its step has no other.
        for path in sorted(Path(folder).iterdir()):
            if _NAME.fullmatch(path.name) and path.is_dir():
                found[_step(path)] = path
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot read {os.fspath(folder)}: {error.strerror or error}") from error
    return [found[step] for step in sorted(found, reverse=True)]


def load_latest(
    folder: str | os.PathLike[str], *, arrays: bool = True
) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint, and a line for each newer one that was passed over.

    Args:
        folder: The folder of checkpoints.
        arrays: As for `load_checkpoint`.

    Returns:
        (checkpoint, lines); (None, []) where there are no checkpoints.

    Raises:
        UserError: There are checkpoints, but none can be used. Nothing is changed.
    """
    passed_over: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return load_checkpoint(path, arrays=arrays), passed_over
        except UserError as error:
            passed_over.append(str(error))
    if passed_over:
        raise UserError(
            f"none of the {len(passed_over)} checkpoints in {os.fspath(folder)} can be used, and nothing was "
            "changed. Restore one, or choose another --output_dir to start anew. The newest: "
            f"{passed_over[0]}"
        )
    return None, []


def prune(folder: str | os.PathLike[str], *, keep: int, protect: Collection[int] = ()) -> None:
    """Removes old checkpoints.

    Only whole checkpoints count as kept, so at least one of them always stays. Damaged ones among the kept
    are left alone: saving their step again replaces them.

    Args:
        folder: The folder of checkpoints.
        keep: How many of the newest whole checkpoints to keep, at least 1.
        protect: Steps to keep in any case, such as the best.

    Raises:
        UserError: One cannot be removed.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}; it must be at least 1.")
    kept = 0
    for path in list_checkpoints(folder):
        if kept < keep:
            kept += _is_whole(path)
        elif _step(path) not in protect:
            with os_errors_as_user_errors(path):
                _remove(path)


def _is_whole(path: Path) -> bool:
    try:
        verified_manifest(path)
    except UserError:
        return False
    return True


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None, path
    return int(match[1] or match[2])


def _temporary(folder: Path, step: int) -> Path:
    return folder / f".step-{step:08d}.aside"


def _clear_up(folder: Path) -> None:
    """Removes or puts back what a killed process left."""
    for path in folder.glob(".step-*.aside"):
        shutil.rmtree(path)
    for path in folder.glob(".step-*.replaced"):
        final = folder / f"step-{_step(path):08d}"
        if final.exists():
            shutil.rmtree(path)
        else:
            path.rename(final)


def _move_into_place(temporary: Path, final: Path) -> None:
    replaced = final.with_name(f".{final.name}.replaced")
    if final.exists():
        final.rename(replaced)
    temporary.rename(final)
    sync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _remove(path: Path) -> None:
    # Renamed first: a process killed while removing leaves no half checkpoint under a full name.
    temporary = _temporary(path.parent, _step(path))
    shutil.rmtree(temporary, ignore_errors=True)
    path.rename(temporary)
    shutil.rmtree(temporary)
