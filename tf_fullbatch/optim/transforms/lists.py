"""From the texts of settings to transforms in their order."""

from collections.abc import Mapping

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.transforms.base import TransformSettings
from tf_fullbatch.optim.transforms.registry import GRADIENT_TRANSFORMS, OF_FLAGS, UPDATE_TRANSFORMS
from tf_fullbatch.settings.part_lists import parsed_parts
from tf_fullbatch.settings.several_parts import refuse_unknown, with_own_options

_GRADIENT, _UPDATE = "gradient_transforms", "update_transforms"


def gradient_transforms(
    text: str | None, of_flags: Mapping[str, TransformSettings]
) -> dict[str, TransformSettings]:
    """Name -> settings of the transforms of the gradient, in the order in which they act.

    Args:
        text: --gradient_transforms.
        of_flags: Those that flags of their own ask for, by their names in the list, in the order in which they come
            last where the list does not name them.

    Raises:
        UserError: A part that is no transform, comes twice or has wrong options, or whose flag is not given.
    """
    found: dict[str, TransformSettings] = {}
    parts = parsed_parts(_GRADIENT, text, GRADIENT_TRANSFORMS | dict.fromkeys(OF_FLAGS))
    _refuse_unknown(_GRADIENT, parts, GRADIENT_TRANSFORMS, UPDATE_TRANSFORMS, _UPDATE)
    for name, options in parts.items():
        if name not in OF_FLAGS:
            found[name] = with_own_options(
                _GRADIENT, name, GRADIENT_TRANSFORMS[name], options, bracketed=True
            )
            continue
        flag = OF_FLAGS[name]
        if options:
            raise UserError(
                f"--{_GRADIENT}={text}: {name} is given by --{flag}, and has nothing in brackets."
            )
        if name not in of_flags:
            raise UserError(
                f"--{_GRADIENT}={text}: {name} is there without --{flag}: set it, or leave {name} out."
            )
        found[name] = of_flags[name]
    return found | {name: settings for name, settings in of_flags.items() if name not in found}


def update_transforms(text: str | None) -> dict[str, TransformSettings]:
    """Name -> settings of the transforms of the update, in the order in which they act.

    Args:
        text: --update_transforms.

    Raises:
        UserError: A part that is no transform, comes twice, or has wrong options.
    """
    parts = parsed_parts(_UPDATE, text, UPDATE_TRANSFORMS)
    _refuse_unknown(_UPDATE, parts, UPDATE_TRANSFORMS, GRADIENT_TRANSFORMS, _GRADIENT)
    return {
        name: with_own_options(_UPDATE, name, UPDATE_TRANSFORMS[name], options, bracketed=True)
        for name, options in parts.items()
    }


def _refuse_unknown(setting: str, names: Mapping, known: Mapping, known_there: Mapping, there: str) -> None:
    for name in names:
        if name in known_there and name not in known:
            raise UserError(f"--{setting}={name}: it is one of --{there}; here there are {', '.join(known)}.")
    refuse_unknown(setting, names, known, "transform")
