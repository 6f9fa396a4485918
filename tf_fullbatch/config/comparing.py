"""What tells runs apart: the settings that affect their results, and their length."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.config.runtime import GOALS
from tf_fullbatch.optim.settings import Extension


def result_settings(config: Config) -> dict[str, Any]:
    """name -> value of every setting that affects a run's results, the schedule's horizon resolved."""
    values = config.values()
    settings = {
        setting_field.name: values[setting_field.name]
        for _, setting_field in settings_fields()
        if setting_field.metadata["affects_results"]
    }
    return settings | {"schedule_epochs": config.schedule_epochs}


def compared_settings(config: Config) -> dict[str, Any]:
    """name -> value of everything that tells runs apart: what affects results, the length with its goals, and what is
    appended.
    """
    length = {name: getattr(config.runtime, name) for name in ("epochs", *GOALS)}
    return result_settings(config) | length | _extension_settings(config.optimizer.extensions)


def result_differences(old: Config, new: Config) -> list[tuple[str, Any, Any]]:
    """(name, old, new) of every setting that affects results and differs, so that an old run cannot go on as the new.

    Passes may be appended to a run. Those appended already stay as they are, and so does its length before them.
    """
    before, after = result_settings(old), result_settings(new)
    appended = old.optimizer.extensions
    if appended:
        before |= {"epochs": old.runtime.epochs} | _extension_settings(appended)
        kept = new.optimizer.extensions[: len(appended)]
        after |= {"epochs": new.runtime.epochs} | _extension_settings(kept)
    return [(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _extension_settings(extensions: Sequence[Extension]) -> dict[str, tuple]:
    """name -> value of the settings that describe what is appended, none left open."""
    names = [field.name for field in dataclasses.fields(Extension)]
    return {f"extend_{name}": tuple(getattr(one, name) for one in extensions) for name in names}


def differing_settings(configs: Sequence[Config]) -> list[str]:
    """Names of the settings in which runs differ: those that affect results, and the length."""
    settings = [compared_settings(config) for config in configs]
    return [name for name in settings[0] if any(one[name] != settings[0][name] for one in settings)]
