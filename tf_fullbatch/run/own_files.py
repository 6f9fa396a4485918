"""Files of the user's own that a run uses: recorded by hashes; code is run where a command names it alone."""

from collections.abc import Mapping
from typing import Any

from tf_fullbatch.config.run import FILE_SETTINGS, Config
from tf_fullbatch.data.controls.listing import listing_hash
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.settings import own_parts, part_names
from tf_fullbatch.settings.given_parts import not_given

_FOLDER = "folder"


def file_hashes(config: Config) -> dict[str, str]:
    """Setting -> SHA-256 of the user's file that it names.

    Raises:
        UserError: A file is not there.
    """
    values = config.values()
    found = {name: own_parts.file_hash(name, values[name]) for name in FILE_SETTINGS}
    if config.controls.leave_out is not None:
        found["leave_out"] = listing_hash(config.controls.leave_out)
    return {name: digest for name, digest in found.items() if digest is not None}


def check_unchanged(folder: RunFolder, config: Config) -> None:
    """Refuses to go on with a run whose files are others by now.

    Raises:
        UserError: Files that the run used have changed; all of them are named.
    """
    then, now, values = folder.read_file_hashes(), file_hashes(config), config.values()
    changed = [name for name, digest in now.items() if then.get(name) != digest]
    if not changed:
        return
    kinds = {name: _kind(values[name]) for name in changed}
    parts = [
        f"--{name}={values[name]}: the {kind} is not what it was when the run began (SHA-256 "
        f"{'of the names and sizes in it, ' if kind == _FOLDER else ''}{str(then.get(name))[:12]} then, "
        f"{now[name][:12]} now)"
        for name, kind in kinds.items()
    ]
    files = f"Restore {'them' if len(changed) > 1 else 'it'}"
    objects = "Give all that was given then (model, train, validation, test, ...)"
    mend = " and ".join(dict.fromkeys(objects if kind == "object" else files for kind in kinds.values()))
    raise UserError(f"{'; '.join(parts)}. {mend}, or choose another --output_dir than {folder.path}.")


def _kind(value: Any) -> str:
    if part_names.is_object(value):
        return "object"
    return _FOLDER if str(value).endswith("/") else "file"


def refuse_unnamed(
    folder: RunFolder, trained: Config, named: Mapping[str, Any], advice: str | None = None
) -> None:
    """Refuses code that a record alone names: a folder from elsewhere could bring anything.

    Args:
        folder: The run's.
        trained: The run's settings.
        named: Setting -> value, as the command or the program names it.
        advice: What to do about code; None for what commands that train or evaluate take.

    Raises:
        UserError: The run uses objects that are not given now, or code of somebody's own that is not named now; all of
            them are named.
    """
    there = {name: trained.values()[name] for name in FILE_SETTINGS}
    objects = {name: value for name, value in there.items() if part_names.is_object(value)}
    code = [
        f"--{name}={value}"
        for name, value in there.items()
        if name not in objects and part_names.is_users_code(value) and named.get(name) != value
    ]
    problems = [not_given(objects)]
    if code:
        by_flags = (
            f"name it too, by the same {'flags' if len(code) > 1 else 'flag'} (in Python: open_run(folder, "
        )
        advice = advice or f"{by_flags}own_code=True)). Its model.keras loads without."
        problems.append(
            f"{folder.path} uses code, {' '.join(code)}, which a record alone does not run: {advice}"
        )
    if message := " ".join(filter(None, problems)):
        raise UserError(message)
