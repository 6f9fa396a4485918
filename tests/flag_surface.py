"""The command line's surface as text, a line per flag. `python -m tests.flag_surface` writes the snapshot anew."""

import dataclasses
from pathlib import Path

from absl import flags

from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.settings import flag_parsing

SNAPSHOT = Path(__file__).parent / "data_files" / "flag_surface.txt"
UPDATE = "python -m tests.flag_surface"


def flag_surface() -> str:
    """Name, type, default, accepted values, and whether a resumed run must have the same one, of every flag."""
    flag_values = flags.FlagValues()
    flag_parsing.define([setting for _, setting in settings_fields()], flag_values)
    lines = [_line(setting, flag_values[setting.name]) for _, setting in settings_fields()]
    own = {setting.name for _, setting in settings_fields()} | {"help", "h"}
    lines += [f"--{name}" for name in sorted(set(flag_values) - own)]
    return "\n".join(lines) + "\n"


def _line(setting: dataclasses.Field, flag: flags.Flag) -> str:
    limits = {k: v for k, v in setting.metadata.items() if k in ("minimum", "above", "below", "maximum")}
    parts = [
        f"--{setting.name}",
        flag.flag_type(),
        f"default={flag_parsing.flag_text(setting, setting.default)!r}",
    ]
    parts += [f"{name}={value:g}" for name, value in limits.items() if value is not None]
    if setting.metadata["choices"]:
        parts.append("one of " + "|".join(setting.metadata["choices"]))
    return "  ".join([*parts, "affects_results" if setting.metadata["affects_results"] else "free"])


if __name__ == "__main__":
    SNAPSHOT.write_text(flag_surface(), encoding="utf-8")
