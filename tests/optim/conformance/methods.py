"""The methods of the table: every optimizer there is, with every line search that it takes."""

from typing import Any, NamedTuple

import keras

from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.methods.search import SearchSettings
from tf_fullbatch.optim.searches.registry import SEARCHES
from tf_fullbatch.optim.settings import OptimizerConfig

ELSEWHERE = {"gradient_flow", "central_flow"}
"""Flows are solved, not stepped: tests/training/test_flow_optimizers.py."""


class Entry(NamedTuple):
    """What the table has of an optimizer.

    Attributes:
        rate: Of a problem whose largest curvature is about 1.
        proportional: Whether its steps are the rate times gradients, so that the rate has to fit the curvature.
        constant: Whether it converges at a constant rate. The others get a rate that falls to 0.
        memory: Steps that its mean of gradients is over, `1 / (1 - momentum)`.
        coupled: Whether the weight decay is that of `decay / 2 |w|^2` added to the loss.
        left: The share of the loss above the least that may be left after 200 steps; None where `bounds` says it.
        options: Of `--optimizer_options`.
    """

    rate: float
    proportional: bool = False
    constant: bool = False
    memory: int = 1
    coupled: bool = False
    left: float | None = None
    options: str | None = None


ENTRIES = {
    "gradient_descent": Entry(0.3, True, True, coupled=True),
    "pnm": Entry(1.0, True, True),
    "larc": Entry(0.3, True, True, coupled=True, options="trust_coefficient=0.3"),
    # Inertias are up to 0.999, whose oscillations shrink by 0.999^(1/2) per step: a tenth in 200.
    "adai": Entry(1.0, True, True, coupled=True, left=1e-2),
    "adaiw": Entry(1.0, True, True, left=1e-2),
    "lars": Entry(0.3, True, memory=10, coupled=True, options="trust_coefficient=0.1"),
    "adamw": Entry(0.1, memory=10),
    "sign": Entry(0.1),
    "normalized": Entry(0.3),
    "lamb": Entry(0.1, memory=10),
    "adapnm": Entry(0.3, memory=10),
    "muon": Entry(0.1, memory=20, options="head=true,adam_rate=1.0"),
    "keras:RMSprop": Entry(0.1),
    "keras:Lion": Entry(0.1, memory=10, options="beta_2=0.9"),
    "fista": Entry(1.0, True, True, coupled=True),
    "lbfgs": Entry(1.0, constant=True, coupled=True),
    "nonlinear_cg": Entry(1.0, True, True, coupled=True),
    "newton_cg": Entry(1.0, constant=True, coupled=True),
}
"""By the name that --optimizer has."""


def _searched(name: str) -> bool:
    """Whether it is made for a search; searches along other rules: tests/optim/test_searched_rules.py."""
    return name == "gradient_descent" or issubclass(OPTIMIZERS[name], SearchSettings)


def labels() -> list[str]:
    """The optimizers with their own way of finding lengths; gradient descent with a search too."""
    return [*(name for name in OPTIMIZERS if name not in ELSEWHERE), *_keras(), "gradient_descent, armijo"]


def other_labels() -> list[str]:
    """Every other line search of those that take one."""
    every = [f"{name}, {search}" for name in OPTIMIZERS if _searched(name) for search in _searches(name)]
    return [label for label in every if label not in {*labels(), "gradient_descent, none"}]


def _searches(name: str) -> tuple[str, ...]:
    """Those that an optimizer takes."""
    kind = OPTIMIZERS[name]
    return kind.searches if issubclass(kind, SearchSettings) else ("none", *SEARCHES)


def _keras() -> list[str]:
    return [name for name in ENTRIES if name.startswith("keras:")]


class Method(NamedTuple):
    """A line of the table.

    Attributes:
        name: Of the optimizer.
        search: Of the line search; None for the method's own.
        entry: What the table says of the optimizer.
    """

    name: str
    search: str | None
    entry: Entry

    @property
    def compares_gradients(self) -> bool:
        """Whether it refuses mini-batches."""
        return self.name in ("lbfgs", "nonlinear_cg") or self.search == "non_monotone"

    @property
    def searches(self) -> bool:
        """Whether a search finds the length of its steps, or the direction has one."""
        return self.search is not None or self.name in ("fista", "lbfgs", "nonlinear_cg", "newton_cg")

    @property
    def needs_convexity(self) -> bool:
        """Whether nothing bounds its steps, as directions of Newton's and of conjugate gradients without a search."""
        return self.search == "none" and self.name in ("newton_cg", "nonlinear_cg")

    @property
    def is_decayed(self) -> bool:
        """Whether a weight decay has a known minimum, and no directions of little curvature that are slow to go."""
        slow = self.searches and not (self.natural or self.search is None)
        return self.entry.coupled and not slow

    @property
    def natural(self) -> bool:
        """Whether its directions have a length that is tried first."""
        return self.name in ("lbfgs", "newton_cg")

    @property
    def is_exact(self) -> bool:
        """Whether a search accepts only what is lower, with a slope that is less."""
        if self.name == "fista":  # ahead of the weights, whose values its search does not compare
            return False
        return self.searches and self.search in (None, "strong_wolfe", "hager_zhang")

    def build(
        self, steps: int, *, decay: float = 0.0, lowest: float = 0.0, curvature: float = 1.0
    ) -> keras.optimizers.Optimizer:
        """The optimizer, as the flags make it.

        Args:
            steps: To be made; what falls falls to 0 in them.
            decay: The weight decay.
            lowest: The least loss, for Polyak's lengths.
            curvature: About the largest of the problem.
        """
        settings: dict[str, Any] = {"optimizer_options": self.entry.options} if self.entry.options else {}
        if self.name.startswith("keras:"):
            options = [*([self.entry.options] if self.entry.options else []), f"weight_decay={decay}"]
            settings = {"optimizer_options": ",".join(options)}
        else:
            settings["weight_decay"] = decay
        if self.search is not None:
            settings["line_search"] = self.search
            if self.name == "gradient_descent":
                settings |= {"momentum": 0.0, "nesterov": False}
        if self.search == "polyak":
            settings["line_search_options"] = f"lowest={lowest!r}"
        schedule = build_schedule(
            "constant" if self.entry.constant else "linear",
            peak=self.entry.rate / curvature if self.entry.proportional else self.entry.rate,
            warmup_epochs=0,
            horizon_epochs=steps,
            steps_per_epoch=1,
        )
        config = OptimizerConfig(
            optimizer=self.name,
            chosen_optimizer=OptimizerConfig.component("optimizer", self.name, **settings),
        )
        return config.build_optimizer(schedule)


def method(label: str) -> Method:
    """The method of a label: an optimizer's name, or that and a line search's."""
    name, _, search = label.partition(", ")
    return Method(name, search or None, ENTRIES[name])
