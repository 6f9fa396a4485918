"""--suite=optimizers: what a method's step takes beyond the gradient evaluations that it spends."""

import functools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_fullbatch.benchmark import loops, timing, workloads
from tf_fullbatch.benchmark.comparisons import METHOD_WORKS, METHODS, MethodWork
from tf_fullbatch.benchmark.options import Options
from tf_fullbatch.benchmark.timing import Passes, Progress, Timing
from tf_fullbatch.core.losses import SparseCrossentropy
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.display.text import format_table
from tf_fullbatch.optim.settings import OptimizerConfig
from tf_fullbatch.training.full_batch_model import FullBatchModel

EVALUATION = "an evaluation"
COLUMNS = (
    "method", "ms/step", "evaluations/step", "ms/evaluation", "beyond them", "least", "largest", "kept per weight",
    "wanted",
)  # fmt: skip


def measure(options: Options, progress: Progress) -> dict[str, list[dict[str, Any]]]:
    """Workload -> a row of each method, see `result`; all methods of a workload in turn."""
    names = [name for name in METHODS if name in options.rows or not options.rows]
    found = {}
    for work_name, method_work in METHOD_WORKS.items():
        if work_name not in options.works and options.works:
            continue
        progress(f"{work_name}: {method_work.work}")
        stepped = {name: Stepped(name, method_work) for name in names}
        timed: dict[str, Passes] = {EVALUATION: evaluations(method_work)}
        timed |= {name: one.passes for name, one in stepped.items()}
        timings = timing.measure(timed, options.repeats, progress, options.seconds)
        found[work_name] = [result(one, timings[EVALUATION], timings[name]) for name, one in stepped.items()]
    return found


class Stepped:
    """A method's steps on random images, each timing from the same weights on.

    Args:
        name: A key of `METHODS`.
        method_work: What it trains on.

    Attributes:
        name: As given.
        wanted: The largest share of a step beyond its evaluations that is wanted.
        spent: Gradient evaluations per step of the last timing.
    """

    def __init__(self, name: str, method_work: MethodWork):
        self.name, self.wanted = name, method_work.wanted
        self.spent = 0.0
        self._model = _model(method_work, METHODS[name])
        self._batches = UpdateBatches(*workloads.random_data(method_work.work))
        self._model.optimizer.build(self._model.network.trainable_variables)
        self._varying = [*self._model.network.variables, *self._model.optimizer.variables]
        self._initial = [v.numpy() for v in self._varying]

    @property
    def kept(self) -> float:
        """Numbers that the method keeps from step to step, per weight."""
        weights = sum(int(np.prod(v.shape)) for v in self.trainable)
        return sum(int(np.prod(v.shape)) for v in self._model.optimizer.variables) / weights

    @property
    def trainable(self) -> list[keras.Variable]:
        """The weights."""
        return self._model.network.trainable_variables

    def passes(self, count: int) -> float:
        """So many steps from the initial weights; their seconds."""
        for variable, value in zip(self._varying, self._initial, strict=True):
            variable.assign(value)
        return self.steps(count)

    def steps(self, count: int) -> float:
        """So many steps from where it is; their seconds."""
        spent: list[float] = []

        def keep(batch: int, logs: Mapping[str, Any] | None = None) -> None:
            del batch, logs
            spent.extend(one["gradient_evaluations"] for one in self._model.last_steps)

        callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=keep)]
        fit = functools.partial(self._model.fit, self._batches, verbose=0, callbacks=callbacks)
        seconds = loops.timed(lambda epochs: fit(epochs=epochs))(count)
        self.spent = sum(spent) / count
        return seconds


def evaluations(method_work: MethodWork) -> Passes:
    """Gradients of the whole set, and nothing beside."""
    model = _model(method_work, {"optimizer": "gradient_descent", "momentum": 0.0})
    objective = model.objective(UpdateBatches(*workloads.random_data(method_work.work)))
    theta = objective.theta()

    def gradients(passes: int) -> None:
        for _ in range(passes):
            objective.value_and_gradient(theta)

    return loops.timed(gradients)


def _model(method_work: MethodWork, settings: Mapping[str, Any]) -> FullBatchModel:
    work = method_work.work
    of_step = {name: value for name, value in settings.items() if name == "perturbation"}
    of_method = {name: value for name, value in settings.items() if name not in ("optimizer", *of_step)}
    model = FullBatchModel(workloads.network(work), micro_batch_size=work.micro_batch_size, **of_step)
    method = OptimizerConfig.component(
        "optimizer", settings.get("optimizer", "gradient_descent"), **of_method
    )
    model.compile(optimizer=method.build(workloads.LEARNING_RATE), loss=SparseCrossentropy())
    return model


def result(method: Stepped, evaluation: Sequence[Timing], steps: Sequence[Timing]) -> dict[str, Any]:
    """One row's figures.

    Args:
        method: What was timed.
        evaluation: One timing of an evaluation per round.
        steps: One timing of a step per round.

    Returns:
        `method`, `wanted`, `evaluations_per_step`, `kept_per_weight`; `beyond` (`median`, `least`, `largest` over the
        rounds of `step / (evaluations * evaluation) - 1`); `seconds_per_step` and `seconds_per_evaluation`, medians;
        `seconds` of both, all that came.
    """
    seconds = {"evaluation": [one.seconds for one in evaluation], "step": [one.seconds for one in steps]}
    beyond = [r / method.spent - 1 for r in timing.ratios(seconds["step"], seconds["evaluation"])]
    return {
        "method": method.name,
        "wanted": method.wanted,
        "evaluations_per_step": method.spent,
        "kept_per_weight": method.kept,
        "beyond": timing.spread(beyond)._asdict(),
        "seconds_per_step": statistics.median(seconds["step"]),
        "seconds_per_evaluation": statistics.median(seconds["evaluation"]),
        "seconds": seconds,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """`result`s as a table."""
    cells = [
        (
            r["method"],
            f"{1000 * r['seconds_per_step']:.4g}",
            f"{r['evaluations_per_step']:.3g}",
            f"{1000 * r['seconds_per_evaluation']:.4g}",
            *(f"{100 * r['beyond'][key]:.1f} %" for key in ("median", "least", "largest")),
            f"{r['kept_per_weight']:.3g}",
            f"<= {100 * r['wanted']:.0f} %",
        )
        for r in rows
    ]
    return format_table(COLUMNS, cells, "<" + ">" * (len(COLUMNS) - 1))
