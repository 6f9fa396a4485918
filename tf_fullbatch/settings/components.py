"""A choice among components: one setting names it, and the settings of the one that is named stand beside that.

A component (an optimizer, a family of networks, a data source) is a class of `Settings` that can build what it
describes. A `Group` holds the settings of the chosen one in a field made by `chosen_by`; flags and config.json have
the settings of all components side by side ("flat").
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tf_fullbatch.settings.fields import (
    Settings,
    check_range,
    check_ranges,
    is_setting,
    refuse_value_without_effect,
)

Other = tuple[Callable[[str], bool], type]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a name stands for.

    Attributes:
        by: The setting that gives the name.
        components: Name -> class of settings.
        others: (accepts, class) of names that are not listed: the first that accepts a name has it.
    """

    by: str
    components: Mapping[str, type]
    others: tuple[Other, ...] = ()

    def kind(self, name: Any) -> Any:
        """The class of settings that a name stands for; None where it stands for nothing."""
        if not isinstance(name, str):
            return None
        if name in self.components:
            return self.components[name]
        return next((kind for accepts, kind in self.others if accepts(name)), None)

    def fields(self) -> list[dataclasses.Field]:
        """The settings of all components, each once.

        Raises:
            TypeError: Two components share a name of a setting, but not its type, default, help or range.
        """
        others = [kind for _, kind in self.others]
        return list(_shared_fields(self.by, tuple(dict.fromkeys([*others, *self.components.values()]))))

    def settings(self, name: Any, values: Mapping[str, Any]) -> Any:
        """The settings of the component that a name stands for; None where it stands for nothing.

        Args:
            name: The name.
            values: Setting -> value, of any component.

        Raises:
            UserError: A value is out of range, or is for another component and not its default.
        """
        kind = self.kind(name)
        if kind is None:
            return None
        own = {field.name for field in dataclasses.fields(kind)}
        for field in self.fields():
            if field.name in values and field.name not in own:
                check_range(field, values[field.name])
                refuse_value_without_effect(field, values[field.name], f"with --{self.by}={name}")
        return kind(**{name: value for name, value in values.items() if name in own})


def chosen_by(by: str, components: Mapping[str, type], *others: Other) -> Any:
    """A field of a `Group` that holds the settings of the component that the setting `by` names; see `Choice`.

    Left out, it is filled with the component's defaults.
    """
    return dataclasses.field(default=None, metadata={"choice": Choice(by, components, others)})


def described(components: Mapping[str, Any], last: str = " or ") -> str:
    """Names with what their components say of themselves (`summary`), as help texts list them.

    Args:
        components: Name -> class of settings.
        last: What stands before the last of several.
    """
    *texts, final = [
        f"{name} ({kind.summary})" if kind.summary else name for name, kind in components.items()
    ]
    return f"{', '.join(texts)}{last}{final}" if texts else final


@dataclass(frozen=True, kw_only=True, slots=True)
class Group(Settings):
    """Base of dataclasses with settings of their own and of chosen components.

    A subclass with a `__post_init__` of its own begins it by `Group.__post_init__(self)`.
    """

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, choice in choices(type(self)):
            kind, given = choice.kind(getattr(self, choice.by)), getattr(self, name)
            if given is None:
                object.__setattr__(self, name, kind())  # frozen, but not yet made
            elif type(given) is not kind:
                raise TypeError(f"{name} must be a {kind.__qualname__}, as {choice.by} says, not {given!r}.")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The group of flat values: its own settings and those of its components, by name; lists become tuples.

        Raises:
            UserError: A value is out of range, or without effect beside the others.
            TypeError: There is no such setting.
        """
        unknown = set(values) - {field.name for field in cls.flat_fields()}
        if unknown:
            raise TypeError(f"{cls.__name__} has no setting {', '.join(sorted(unknown))}.")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        own = [field for field in dataclasses.fields(cls) if is_setting(field)]
        chosen = {field.name: values.get(field.name, field.default) for field in own}
        components = {name: choice.settings(chosen[choice.by], values) for name, choice in choices(cls)}
        return cls(**chosen, **components)

    @classmethod
    def component(cls, by: str, name: str, **values: Any) -> Any:
        """The settings of one component alone, by its name.

        Args:
            by: The setting that names it, such as "optimizer".
            name: Its name.
            **values: Its settings.

        Raises:
            UserError: There is no such component, or a value is out of range or for another component.
            TypeError: No component has such a setting.
        """
        field, choice = next(pair for pair in choices(cls) if pair[1].by == by)
        unknown = set(values) - {one.name for one in choice.fields()}
        if unknown:
            raise TypeError(f"{by} {name!r} has no setting {', '.join(sorted(unknown))}.")
        return getattr(cls.of(**{by: name}, **values), field)

    def to_flat(self) -> dict[str, Any]:
        """Setting -> value, of the group and all components; those that are not chosen at their defaults."""
        holders = [self, *(getattr(self, name) for name, _ in choices(type(self)))]
        values = {
            field.name: getattr(holder, field.name)
            for holder in holders
            for field in dataclasses.fields(holder)
            if is_setting(field)
        }
        return {field.name: values.get(field.name, field.default) for field in self.flat_fields()}

    @classmethod
    def flat_fields(cls) -> list[dataclasses.Field]:
        """The settings of the group and, where a component is held, those of all components."""
        found: list[dataclasses.Field] = []
        for field in dataclasses.fields(cls):
            found += [field] if is_setting(field) else field.metadata["choice"].fields()
        return found

    @classmethod
    def idle_fields(cls, values: Mapping[str, Any]) -> set[str]:
        """Names of the settings that nothing reads beside these values: those of components that are not chosen."""
        idle: set[str] = set()
        for _, choice in choices(cls):
            kind = choice.kind(values.get(choice.by))
            if kind is not None:
                idle |= {field.name for field in choice.fields()} - {f.name for f in dataclasses.fields(kind)}
        return idle


def choices(group: type[Group]) -> Iterator[tuple[str, Choice]]:
    """(field, choice) of every component that a group holds."""
    for field in dataclasses.fields(group):
        if not is_setting(field):
            yield field.name, field.metadata["choice"]


@functools.cache
def _shared_fields(by: str, kinds: tuple[type, ...]) -> tuple[dataclasses.Field, ...]:
    """The fields of these classes, each name once."""
    found: dict[str, dataclasses.Field] = {}
    for kind in kinds:
        for field in dataclasses.fields(kind):
            first = found.setdefault(field.name, field)
            if _meaning(first) != _meaning(field):
                raise TypeError(
                    f"--{field.name} of {kind.__qualname__} is another setting than that of --{by}'s other "
                    "components: give both the same type, default, help and range, or another name."
                )
    return tuple(found.values())


def _meaning(field: dataclasses.Field) -> tuple:
    return field.type, field.default, dict(field.metadata)
