"""Settings of methods whose steps are as long as a line search finds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.base import LearningRate
from tf_fullbatch.optim.methods.rule import RuleSettings
from tf_fullbatch.optim.searches.registry import SEARCHES, search_of
from tf_fullbatch.settings.components import described
from tf_fullbatch.settings.fields import setting
from tf_fullbatch.settings.part_options import parsed_options

if TYPE_CHECKING:
    import keras


def line_search() -> Any:
    """The field of the flag --line_search, for every method that takes one."""
    return setting(
        None,
        f"How long steps are: none (the learning rate) or a search, {described(SEARCHES)}. Unset: the method's own.",
        choices=("none", *SEARCHES),
        none_word="auto",
    )


def line_search_options() -> Any:
    """The field of the flag --line_search_options, for every method that takes a search."""
    return setting(
        None, "Options of --line_search, key=value,...; a wrong name lists those there are.", options=True
    )


def search_options(name: str | None, text: str | None) -> dict[str, Any]:
    """The options that --line_search_options has, once the search has been made of them.

    Args:
        name: The search; None for none.
        text: The options.

    Raises:
        UserError: There is no search, or it has not such options.
    """
    options = parsed_options("line_search", text)
    if options and name in (None, "none"):
        raise UserError(f"--line_search_options={text} has no effect without --line_search.")
    search_of(name or "none", **options)
    return options


class OptionalSearch:
    """What settings have whose method searches where --line_search says so; they have the fields."""

    __slots__ = ()
    line_search: str | None
    line_search_options: str | None

    @property
    def asks(self) -> bool:
        """See `OptimizerSettings`."""
        return self.line_search not in (None, "none")

    @property
    def ignores_the_rate(self) -> bool:
        """See `OptimizerSettings`."""
        return self.line_search == "polyak"

    def search_arguments(self) -> dict[str, Any]:
        """The arguments of the optimizer that searches."""
        options = search_options(self.line_search, self.line_search_options)
        return {"line_search": str(self.line_search), "line_search_options": options}


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchableRuleSettings(OptionalSearch, RuleSettings):
    """Settings of a `rules.update_rule.UpdateRule`; with --line_search it gives the directions of a
    `rules.searched_rule.SearchedRule`.
    """

    line_search: str | None = line_search()
    line_search_options: str | None = line_search_options()

    def __post_init__(self) -> None:
        RuleSettings.__post_init__(self)
        search_options(self.line_search, self.line_search_options)

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        if not self.asks:
            return RuleSettings.build(self, learning_rate)
        from tf_fullbatch.optim.rules.searched_rule import SearchedRule

        return SearchedRule(
            self.rule()(1.0, **self.arguments()),
            learning_rate,
            weight_decay=self.weight_decay,
            **self.search_arguments(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings(RuleSettings):
    """Settings of a `rules.search_optimizer.SearchOptimizer`."""

    asks_objective: ClassVar[bool] = True
    own_search: ClassVar[str] = "strong_wolfe"
    """The search where --line_search says none."""
    searches: ClassVar[tuple[str, ...]] = ("none", *SEARCHES)
    """Those that it takes."""
    natural_length: ClassVar[bool] = False
    """Whether a search tries the whole direction first, whatever the learning rate."""

    line_search: str | None = line_search()
    line_search_options: str | None = line_search_options()

    def __post_init__(self) -> None:
        RuleSettings.__post_init__(self)
        if self.search not in self.searches:
            raise UserError(
                f"--line_search={self.search} with --optimizer={self.name}: accepted are {', '.join(self.searches)}."
            )
        search_options(self.search, self.line_search_options)

    @property
    def search(self) -> str:
        """The search's name, or "none"."""
        return self.line_search or self.own_search

    @property
    def ignores_the_rate(self) -> bool:
        """Whether the learning rate does nothing."""
        return self.search == "polyak" or (self.natural_length and self.search != "none")

    def build(self, learning_rate: LearningRate) -> "keras.optimizers.Optimizer":
        """The optimizer."""
        return self.rule()(
            learning_rate,
            line_search=self.search,
            line_search_options=search_options(self.search, self.line_search_options),
            weight_decay=self.weight_decay,
            **self.arguments(),
        )
