"""The line searches there are."""

from typing import Any

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.searches.armijo import Armijo, NonMonotone
from tf_fullbatch.optim.searches.hager_zhang import HagerZhang
from tf_fullbatch.optim.searches.line import Search
from tf_fullbatch.optim.searches.polyak import Polyak
from tf_fullbatch.optim.searches.strong_wolfe import StrongWolfe
from tf_fullbatch.settings.several_parts import with_own_options

SEARCHES: dict[str, type] = {
    "armijo": Armijo,
    "strong_wolfe": StrongWolfe,
    "hager_zhang": HagerZhang,
    "non_monotone": NonMonotone,
    "polyak": Polyak,
}


def search_of(name: str, **options: Any) -> Search | None:
    """The search of a name with options; None for "none".

    Raises:
        UserError: There is no such search, or an option that it has not.
    """
    if name == "none":
        if options:
            raise UserError(
                f"--line_search_options={', '.join(options)} have no effect without a --line_search."
            )
        return None
    if name not in SEARCHES:
        raise UserError(f"--line_search={name}: accepted are none, {', '.join(SEARCHES)}.")
    return with_own_options("line_search", name, SEARCHES[name], options)
