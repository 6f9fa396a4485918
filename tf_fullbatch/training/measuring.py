"""The Keras callback that measures the whole training set along training."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tf_fullbatch.analysis.measures.base import COST, Measure
from tf_fullbatch.errors import RunInterruptedError
from tf_fullbatch.records.columns import Record
from tf_fullbatch.training.callbacks import BlockCallback
from tf_fullbatch.training.moment import TrainingMoment


class Measured(NamedTuple):
    """What measures said of a moment.

    Attributes:
        step: Updates completed.
        records: Rows with the keys of `MEASUREMENT_COLUMNS`.
    """

    step: int
    records: Sequence[Record]


class Measurements(BlockCallback):
    """Measures before the first step, every `every` steps, and after the last.

    It comes before whatever saves the training, so that a checkpoint has what was measured at its step. Where a stop
    is asked for in the middle of a measurement, that is dropped, and made when training goes on from the checkpoint.

    Args:
        measures: Name -> measure.
        every: Steps between measurements.
        statistics: What batch normalisation normalises by, see `Objective`.
        ends: Passes after which no step of a schedule comes, of a run; None for those of `fit`.
        record: Takes what was measured.
        measured_step: The last step that was measured before this process; None for none.
    """

    def __init__(
        self,
        measures: Mapping[str, Measure],
        *,
        every: int,
        statistics: str,
        record: Callable[[Measured], None],
        ends: Collection[int] | None = None,
        measured_step: int | None = None,
    ):
        super().__init__()
        self._measures = dict(measures)
        self._every = every
        self._statistics = statistics
        self._record = record
        self._ends = ends
        self.measured_step = measured_step
        self._epoch = 0
        self._interrupted: RunInterruptedError | None = None

    def steps_before_a_look(self, steps_completed: int) -> int:
        """Steps up to the next measurement."""
        return self._every - steps_completed % self._every

    def arrays(self) -> dict[str, np.ndarray]:
        """MEASURE/NAME -> array of what the measures keep; part of a checkpoint."""
        return {
            f"{name}/{key}": array
            for name, measure in self._measures.items()
            for key, array in measure.state().items()
        }

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes back what `arrays` gave; of measures that are no longer asked for nothing is taken."""
        for name, measure in self._measures.items():
            own = {key.removeprefix(f"{name}/"): a for key, a in arrays.items() if key.startswith(f"{name}/")}
            if own:
                measure.restore(own)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.catch_up()

    def catch_up(self) -> None:
        """Measures where it is due at the present step and not done yet."""
        step = int(self.model.optimizer.iterations.numpy())
        at_end = self._ends is not None and (
            self.model.stop_training or self.model.trainer.timeline.epochs_completed(step) in self._ends
        )
        if self.measured_step != step and (at_end or step % self._every == 0):
            self.measure(last=at_end)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        ends = [self.params["epochs"]] if self._ends is None else self._ends
        ended = self._epoch + 1 in ends or self.model.stop_training
        last = ended and batch + 1 == self.params["steps"]
        if last or int(self.model.optimizer.iterations.numpy()) % self._every == 0:
            self.measure(last=last)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self._interrupted is not None:  # and no step comes any more that would be interrupted
            raise self._interrupted

    def measure(self, last: bool = False) -> None:
        """Measures now.

        Args:
            last: Whether no step comes next.
        """
        moment, epoch = self.moment(last)
        before = self.arrays()
        try:
            records = [r for name in self._measures for r in self._measured(name, moment, epoch)]
        except RunInterruptedError as interrupted:
            self.restore(before)
            self._interrupted = interrupted
            return
        self.measured_step = moment.step
        self._record(Measured(moment.step, records))

    def moment(self, last: bool) -> tuple[TrainingMoment, float]:
        """The training as it stands, and passes over the training set completed."""
        trainer, model = self.model.trainer, self.model
        moment = TrainingMoment(
            trainer, model.optimizer, settings=model.settings, statistics=self._statistics, last=last
        )
        return moment, trainer.timeline.epochs_completed(moment.step)

    def _measured(self, name: str, moment: TrainingMoment, epoch: float) -> Iterator[Record]:
        spent, started = moment.evaluations, time.monotonic()
        figures = [(f.quantity, f.of, f.value) for f in self._measures[name].figures(moment)]
        cost = moment.evaluations - spent, time.monotonic() - started
        for quantity, of, value in [
            *figures,
            *((key, "", value) for key, value in zip(COST, cost, strict=True)),
        ]:
            yield {
                "step": moment.step,
                "epoch": epoch,
                "measure": name,
                "quantity": quantity,
                "of": of,
                "value": float(value),
            }
