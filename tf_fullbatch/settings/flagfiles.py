"""Flagfiles: flags in a file, one per line, in the place of --flagfile=FILE.

absl reads flagfiles too, but looks for files within files in the working folder alone, takes quotes for part of a
value, skips a file that includes itself with no more than a warning, and follows files within files without end.

--flagfile=recipe:NAME is a file that is shipped: `flags/NAME.flags` of a checkout, within the package where it is
installed (pyproject.toml puts it there).
"""

import difflib
import itertools
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tf_fullbatch.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
RECIPE = "recipe:"
_DEEPEST = 50
"""Flagfiles within flagfiles."""
_MOST = 1000
"""Flagfiles in all, each counted as often as it is included."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument, and the folder that a relative path in it is meant from."""

    text: str
    folder: Path


def located_arguments(arguments: Sequence[str]) -> list[Argument]:
    """The arguments with each --flagfile=FILE replaced by the flags in it, one per line; `#` begins a comment.

    A file named within a flagfile is looked for beside that flagfile; recipe:NAME is the same everywhere.

    Raises:
        UserError: A file that cannot be read, that includes itself, or that is one of too many.
    """
    return list(_expanded(iter(arguments), Path(), (), itertools.count(1)))


def recipes() -> dict[str, Path]:
    """Name -> file of every flagfile that is shipped, such as "cifar10/sgd"."""
    installed = _PACKAGE / "recipes"
    folder = installed if installed.is_dir() else _PACKAGE.parent / "flags"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.flags"))
    }


def flagfile_path(value: str, folder: Path) -> Path:
    """The absolute path of a flagfile that is named from a folder, or of a recipe.

    Raises:
        UserError: It is no path, or there is no such recipe.
    """
    if value.startswith(RECIPE):
        known = recipes()
        name = value.removeprefix(RECIPE)
        if name not in known:
            if near := difflib.get_close_matches(name, known, n=1, cutoff=0.5):
                raise UserError(
                    f"--flagfile={value}: there is no recipe {name!r}; did you mean {RECIPE}{near[0]}? "
                    f"(--flagfile={RECIPE} lists all)"
                )
            what = f"there is no recipe {name!r}" if name else "name a recipe"
            raise UserError(f"--flagfile={value}: {what}; there are {_by_folder(known)}.")
        return known[name]
    try:
        return (folder / Path(value).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no such home, a circle of links, a null character
        raise UserError(
            f"--flagfile={value}: {error}. Give the path of a flagfile, or recipe:NAME."
        ) from error


def _by_folder(names: Iterable[str]) -> str:
    """Names as a shell would take them: quickstart, cifar10/{fb_clipped,sgd}."""
    folders = itertools.groupby(names, lambda name: name.rpartition("/")[0])
    grouped = {folder: ",".join(name.rpartition("/")[2] for name in inside) for folder, inside in folders}
    return ", ".join(f"{folder}/{{{inside}}}" if folder else inside for folder, inside in grouped.items())


def _expanded(
    arguments: Iterator[str], folder: Path, within: tuple[Path, ...], files: Iterator[int]
) -> Iterator[Argument]:
    """Arguments that stand in a folder, within flagfiles; `files` counts all flagfiles that are read."""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.lstrip("-") != "flagfile" or not name.startswith("-"):
            yield Argument(argument, folder)
            continue
        if not equals:
            value = next(arguments, "")
            if not value:
                raise UserError("--flagfile needs a file: --flagfile=FILE.")
        path = flagfile_path(value, folder)
        if path in within:
            raise UserError(f"--flagfile={value}: the file includes itself.")
        if len(within) == _DEEPEST:
            raise UserError(f"--flagfile={value}: flagfiles within flagfiles, more than {_DEEPEST} deep.")
        if next(files) > _MOST:
            raise UserError(
                f"--flagfile={value}: flagfiles include flagfiles more than {_MOST} times in all; include each once."
            )
        yield from _expanded(iter(_flags_in(path, value)), path.parent, (*within, path), files)


def _flags_in(path: Path, shown: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file by a byte-order mark
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise UserError(
            f"--flagfile={shown}: cannot read it ({reason}). Give the path of a flagfile, or recipe:NAME."
        ) from error
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            lines += shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f"--flagfile={shown}, line {number}: {error}.") from error
    return lines
