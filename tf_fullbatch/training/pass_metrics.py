"""Figures that Keras takes of an epoch beside the loss: the metrics given to `compile`, and the loss of each output."""

from collections.abc import Mapping

import keras

from tf_fullbatch.core.passes import Scored


class PassMetrics:
    """Metrics over the micro-batches of an epoch; each replica has its own part of them.

    Made within the strategy's scope.

    Args:
        compiled: The container of the metrics given to `compile`, built; None without.
        outputs: The outputs that have a loss, in the order of `TrainingLoss.names`.
        figures: Output -> name of the figure that its mean loss is, in the order in which Keras lists them; empty where
            there is one loss.
    """

    def __init__(self, compiled: keras.metrics.Metric | None, outputs: list[str], figures: Mapping[str, str]):
        self._compiled = compiled
        self._outputs = outputs
        self._losses = {output: keras.metrics.Mean(name=name) for output, name in figures.items()}

    @property
    def names(self) -> list[str]:
        """Names of the figures in the order in which Keras lists them."""
        found = self.result()
        first = [
            m.name
            for m in (*getattr(self._compiled, "metrics", ()), *self._losses.values())
            if m.name in found
        ]
        return [*first, *sorted(set(found) - set(first))]

    @property
    def any(self) -> bool:
        """Whether there is a metric."""
        return bool(self._metrics())

    def update(self, scored: Scored) -> None:
        """Takes a micro-batch in; replica context."""
        if self._compiled is not None:
            self._compiled.update_state(scored.targets, scored.outputs, scored.weights)
        means = dict(zip(self._outputs, scored.loss.of_outputs, strict=True))
        for output, metric in self._losses.items():
            metric.update_state(means[output], sample_weight=scored.loss.weight)

    def reset(self) -> None:
        """Forgets everything; replica context."""
        for metric in self._metrics():
            metric.reset_state()

    def result(self) -> dict[str, float]:
        """Name -> figure, over all replicas."""
        found = {} if self._compiled is None else self._compiled.result()
        found = {**found, **{metric.name: metric.result() for metric in self._losses.values()}}
        return {name: float(value) for name, value in found.items()}

    def _metrics(self) -> list[keras.metrics.Metric]:
        return [*([] if self._compiled is None else [self._compiled]), *self._losses.values()]
