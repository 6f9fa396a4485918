"""The three files of one checkpoint: how they are written, verified and read.

    arrays.npz     the arrays under running numbers, uncompressed, without pickle
    manifest.json  format version, step, epoch, metadata; name, shape and dtype of every array
    SHA256SUMS     of both files, as `sha256sum -c` reads it

Reading never executes code, and says of damaged files in one line what is wrong with them.
"""

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.records.files import write_json, write_text

if TYPE_CHECKING:  # NumPy takes a tenth of a second to import: it is loaded when arrays are written or read
    import numpy as np

FORMAT_VERSION = 1
ARRAYS, MANIFEST, SUMS = "arrays.npz", "manifest.json", "SHA256SUMS"
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64",
)  # fmt: skip
"""What an array may consist of. NumPy's files know no bfloat16: its bits are stored as uint16."""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "epoch": (int, float),
    "arrays": list,
    "metadata": dict,
}


def write_files(
    folder: Path,
    *,
    step: int,
    epoch: float,
    arrays: "Mapping[str, np.ndarray]",
    metadata: Mapping[str, Any],
) -> None:
    """Writes the files into an existing folder and waits until they are on the disk.

    Raises:
        ValueError: An array's dtype is not one of `DTYPES`.
        OSError, UserError: They cannot be written.
    """
    import numpy as np

    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{name!r} has dtype {array.dtype}; accepted are {', '.join(DTYPES)}.")
    stored = {
        _key(i): array.view(np.uint16) if array.dtype.name == "bfloat16" else array
        for i, array in enumerate(arrays.values())
    }
    with (folder / ARRAYS).open("wb") as file:
        np.savez(file, **stored)  # type: ignore[arg-type]  # mypy takes the keys for savez's own options
        file.flush()
        os.fsync(file.fileno())
    manifest = {
        "format_version": FORMAT_VERSION,
        "step": step,
        "epoch": epoch,
        "metadata": metadata,
        "arrays": [{"name": n, "shape": a.shape, "dtype": a.dtype.name} for n, a in arrays.items()],
    }
    write_json(folder / MANIFEST, manifest)
    sums = (f"{_sha256(folder / name)}  {name}\n" for name in (ARRAYS, MANIFEST))
    write_text(folder / SUMS, "".join(sums))
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verified_manifest(folder: Path, *, arrays: bool = True) -> dict[str, Any]:
    """The manifest, once both files match their checksums and every field is there.

    Args:
        folder: The checkpoint.
        arrays: False where arrays.npz need only be there, so that large ones are not read.

    Raises:
        UserError: The files are missing, damaged, or of another format version.
    """
    with _naming_damage(folder):
        lines = (folder / SUMS).read_text(encoding="ascii", errors="replace").splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name in (ARRAYS, MANIFEST):
            if name not in sums:
                raise ValueError(f"{SUMS} does not list {name}")
            if not arrays and name == ARRAYS:
                (folder / name).stat()
            elif sums[name] != _sha256(folder / name):
                raise ValueError(f"{name} does not match its checksum")
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = manifest.get("format_version") if isinstance(manifest, dict) else None
        if version != FORMAT_VERSION:
            raise ValueError(f"its format version is {version}; this tf_fullbatch reads {FORMAT_VERSION}")
        for field, kind in _FIELDS.items():
            if not isinstance(manifest.get(field), kind):
                raise ValueError(f"{MANIFEST} has no valid {field!r}")
    return manifest


def read_arrays(folder: Path, entries: Sequence[Any]) -> "dict[str, np.ndarray]":
    """Name -> array, each as its entry of the manifest describes it.

    Raises:
        UserError: The arrays are not those of the manifest.
    """
    with _naming_damage(folder), zipfile.ZipFile(folder / ARRAYS) as archive:
        if archive.namelist() != [f"{_key(i)}.npy" for i in range(len(entries))]:
            raise ValueError(f"{ARRAYS} does not hold the {len(entries)} arrays of {MANIFEST}")
        return dict(_read_array(archive, i, entry) for i, entry in enumerate(entries))


def _read_array(archive: zipfile.ZipFile, index: int, entry: Any) -> "tuple[str, np.ndarray]":
    import numpy as np

    match entry:
        case {"name": str(name), "shape": list(shape), "dtype": str(dtype)} if dtype in DTYPES:
            with archive.open(f"{_key(index)}.npy") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        case _:
            raise ValueError(f"{MANIFEST} has no valid description of array {index}")
    if dtype == "bfloat16" and array.dtype == np.uint16:
        import ml_dtypes  # only here: it comes with TensorFlow, which alone makes bfloat16 arrays

        array = array.view(ml_dtypes.bfloat16)
    if array.dtype.name != dtype or list(array.shape) != shape:
        raise ValueError(f"array {name!r} is {array.dtype} {array.shape}, not {dtype} {tuple(shape)}")
    return name, array


def _key(index: int) -> str:
    return f"{index:05d}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _naming_damage(folder: Path) -> Iterator[None]:
    """Turns what reading damaged files raises into a one-line `UserError`."""
    try:
        yield
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = f"{Path(error.filename or folder).name}: {error.strerror}"
        raise UserError(
            f"checkpoint {folder} cannot be used: {reason}. Restore it from a copy, or delete it to go on "
            "from an older one."
        ) from error
