"""Goals: figures of a pass over the training set at which a run ends, and what of a run is looked at for them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Reached(NamedTuple):
    """A goal that was reached.

    Attributes:
        name: One of `config.runtime.GOALS`.
        limit: What it is set to.
        value: The loss or gradient norm of the pass, or how many passes in a row were perfect, or gradient evaluations
            per sample of all passes.
        step: Steps completed by then.
        epoch: Passes completed by then.
    """

    name: str
    limit: float
    value: float
    step: int
    epoch: int

    @property
    def text(self) -> str:
        """In a line."""
        found = {
            "stop_at_loss": f"a training loss of {self.value:.6g} in pass {self.epoch}",
            "stop_after_perfect": f"a training accuracy of 100 % in the {self.value:g} passes up to {self.epoch}",
            "stop_after_evaluations": f"{self.value:.6g} gradient evaluations per sample by pass {self.epoch}",
            "stop_at_gradient_norm": f"a gradient norm of {self.value:.6g} in pass {self.epoch}",
        }[self.name]
        return f"stopped by its goal {self.name}={self.limit:g}: {found} (step {self.step})"


_OF_A_PASS = ("loss", "gradient_norm", "gradient_evaluations")
"""Figures of steps whose mean over a pass is looked at."""


class PassFigures:
    """The figures of the last pass that goals are about: means over its steps, weighted by their samples.

    Args:
        state: What `state` gave; None to begin.

    Attributes:
        converged: Whether the method says that it has converged.
    """

    def __init__(self, state: Mapping[str, Any] | None = None):
        state = state or {}
        self._sums: dict[str, float] = dict(state.get("sums", {}))
        self._perfect: bool = state.get("perfect", True)
        self._perfect_passes: int = state.get("perfect_passes", 0)
        self._means: dict[str, float] = dict(state.get("means", {}))
        self._spent: float = state.get("spent", 0.0)
        self.converged: bool = state.get("converged", False)

    def state(self) -> dict[str, Any]:
        """All of it, JSON-able; part of a checkpoint."""
        return {
            "sums": dict(self._sums),
            "perfect": self._perfect,
            "perfect_passes": self._perfect_passes,
            "means": dict(self._means),
            "spent": self._spent,
            "converged": self.converged,
        }

    def add(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Takes steps of the present pass in, one after the other, however they come together.

        Args:
            steps: `loss`, `gradient_norm`, `gradient_evaluations`, `samples` and, where it has a meaning, `accuracy` of
                each.
        """
        for step in steps:
            weighted = {name: float(step[name]) * step["samples"] for name in _OF_A_PASS}
            for name, value in (weighted | {"samples": float(step["samples"])}).items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._perfect = self._perfect and step.get("accuracy") == 1

    def end_pass(self) -> None:
        """The present pass is over."""
        samples = self._sums.pop("samples")
        self._means = {name: value / samples for name, value in self._sums.items()}
        self._spent += self._means["gradient_evaluations"]
        self._perfect_passes = self._perfect_passes + 1 if self._perfect else 0
        self._sums, self._perfect = {}, True

    def reached(self, goals: Mapping[str, float], step: int, epoch: int) -> Reached | None:
        """The first goal that the last pass reached; None where it reached none.

        Args:
            goals: Those of `config.runtime.GOALS` that are set, in that order -> their limits.
            step: Steps completed by its end.
            epoch: Passes completed by its end.
        """
        for name, limit in goals.items():
            if name == "stop_after_perfect":
                value, is_reached = float(self._perfect_passes), self._perfect_passes >= limit
            elif name == "stop_after_evaluations":
                value, is_reached = self._spent, self._spent >= limit
            else:
                value = self._means.get(name.removeprefix("stop_at_"), math.nan)
                is_reached = value <= limit
            if is_reached:
                return Reached(name, limit, value, step, epoch)
        return None
