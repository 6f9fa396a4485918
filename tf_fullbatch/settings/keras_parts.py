"""Keras' own parts by name; an unknown name is answered with those that are near it. Imports no Keras."""

import difflib
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.accepted_names import accepted_instead

_LIKE = 0.7
"""How like a name another is that was meant, as difflib measures it from 0 to 1."""


@dataclass(frozen=True, slots=True)
class KerasParts:
    """What a setting's `keras:NAME` may name.

    Attributes:
        setting: Such as "optimizer".
        module: Where they are, such as `keras.optimizers`.
        is_part: Whether a member of the module is one.
        spelled_out: The long form of a short name, such as "mean_squared_error" of "mse".
    """

    setting: str
    module: types.ModuleType
    is_part: Callable[[Any], bool]
    spelled_out: Callable[[str], str] = str

    def part(self, value: str) -> Any:
        """The part that `keras:NAME` names.

        Raises:
            UserError: There is none of that name.
        """
        name, values = part_names.source_of(self.setting, value).name, self._values()
        if value in values.values():
            return getattr(self.module, name)
        there = ", ".join(sorted(one.removeprefix("keras:") for one in values.values()))
        near = self._near(name, values)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {there}."
        raise UserError(
            f"--{self.setting}={value}: {self.module.__name__} has no {self.setting} {name}; {hint}"
        )

    def value(self, name: str, built_in: Collection[str]) -> str:
        """A setting's value of a name as a program gives it: built in, of code, or as `compile` takes it ("adam").

        Raises:
            UserError: It is none of these.
        """
        if name in built_in or part_names.names_code(name):
            return name
        values = self._values()
        if found := values.get(_plain(self.spelled_out(name))):
            return found
        near = self._near(name, values | {_plain(one): one for one in built_in})
        accepted = accepted_instead(built_in, near, part_names.ACCEPTED)
        raise UserError(f"--{self.setting}={name}: {accepted}")

    def _values(self) -> dict[str, str]:
        """Each name without case and `_` -> `keras:NAME`."""
        return {
            _plain(name): f"keras:{name}"
            for name, member in vars(self.module).items()
            if self.is_part(member)
        }

    def _near(self, name: str, values: Mapping[str, str]) -> list[str]:
        """The values near a name, the nearest first."""
        plain = _plain(self.spelled_out(name))
        near = [plain] if plain in values else difflib.get_close_matches(plain, values, cutoff=_LIKE)
        return [values[one] for one in near]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
