"""Files of the user's own that a run uses: recorded by hashes; code is run where a command names it alone."""

from collections.abc import Mapping
from typing import Any

from tf_fullbatch.config.run import FILE_SETTINGS, Config
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.settings import own_parts, part_names


def file_hashes(config: Config) -> dict[str, str]:
    """Setting -> SHA-256 of the user's file that it names.

    Raises:
        UserError: A file is not there.
    """
    values = config.values()
    found = {name: own_parts.file_hash(name, values[name]) for name in FILE_SETTINGS}
    return {name: digest for name, digest in found.items() if digest is not None}


def check_unchanged(folder: RunFolder, config: Config) -> None:
    """Refuses to go on with a run whose files are others by now.

    Raises:
        UserError: A file that the run used has changed.
    """
    then, now, values = folder.read_file_hashes(), file_hashes(config), config.values()
    for name, digest in now.items():
        if then.get(name) != digest:
            what, mend = "file", "Restore it"
            if part_names.is_object(values[name]):
                what, mend = "object", "Give all that was given then (model, train, validation, test, ...)"
            raise UserError(
                f"--{name}={values[name]}: the {what} is not what it was when the run in {folder.path} began (SHA-256 "
                f"{str(then.get(name))[:12]} there, {digest[:12]} now). {mend}, or choose another --output_dir."
            )


def refuse_unnamed(folder: RunFolder, trained: Config, named: Mapping[str, Any]) -> None:
    """Refuses code that a record alone names: a folder from elsewhere could bring anything.

    Args:
        folder: The run's.
        trained: The run's settings.
        named: Setting -> value, as the command or the program names it.

    Raises:
        UserError: The run uses code of somebody's own that is not named now.
    """
    there = trained.values()
    for name in FILE_SETTINGS:
        value = there[name]
        if part_names.is_object(value):
            own_parts.file_hash(name, value)  # refuses one that is not given now
        elif part_names.is_users_code(value) and named.get(name) != value:
            raise UserError(
                f"{folder.path} uses code, --{name}={value}, which a record alone does not run: name it too, by the "
                f"same --{name} (in Python: open_run(folder, own_code=True)). Its model.keras loads without."
            )
