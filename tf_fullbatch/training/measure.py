"""`Measure`: a Keras callback that measures the whole training set along `fit`, of any Keras model."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras

from tf_fullbatch.analysis.settings import MeasureConfig
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.errors import UserError, in_pythons_words
from tf_fullbatch.records.columns import MEASUREMENT_COLUMNS
from tf_fullbatch.settings.part_options import options_text
from tf_fullbatch.training.beginning import ModelBeginning, refuse_measures
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.measuring import Measured, Measurements
from tf_fullbatch.training.moment import TrainingMoment
from tf_fullbatch.training.objective_of import compiled_around

if TYPE_CHECKING:
    import pandas as pd


class Measure(Measurements):
    """Measures the whole training set before the first step of `fit`, every so many steps, and after the last.

        sharpness = tf_fullbatch.Measure("sharpness", "noise_scale", every=10)
        model.fit(images, labels, epochs=60, callbacks=[sharpness])
        sharpness.history.query("quantity == 'eigenvalue'").plot(x="step", y="value")

    A model that is no `FullBatchModel` needs `data`, the samples to measure on; what concerns the next step (the
    update, the stability threshold) is then that of a full-batch step by the model's optimizer.

    Args:
        *names: What to measure, names that `--measure` takes.
        every: Steps between measurements.
        statistics: What batch normalisation normalises by, "batch", "frozen" or "recalibrated", see `Objective`.
        options: "measure.option" -> value, such as {"sharpness.k": 3}.
        data: (inputs, targets) or (inputs, targets, sample_weight) of a model that is no `FullBatchModel`.
        micro_batch_size: Of `data`.

    Attributes:
        records: Rows with the keys of `MEASUREMENT_COLUMNS`.

    Raises:
        UserError: There is no such measure or option, or a value out of its range.
    """

    @in_pythons_words()
    def __init__(
        self,
        *names: str,
        every: int = 10,
        statistics: str = "batch",
        options: Mapping[str, Any] | None = None,
        data: tuple | UpdateBatches | None = None,
        micro_batch_size: int = 128,
    ):
        text = options_text("measure", options) if options else None
        asked = MeasureConfig(
            measure=names, measure_every=every, measure_statistics=statistics, measure_options=text
        )
        if not names:
            raise UserError("measure is empty: name what to measure, such as 'sharpness'.")
        self._settings = asked.chosen()
        super().__init__(
            {name: settings.build() for name, settings in self._settings.items()},
            every=every,
            statistics=statistics,
            record=self._keep,
        )
        self.records: list[dict[str, Any]] = []
        self._data, self._micro_batch_size = data, micro_batch_size

    @property
    def history(self) -> "pd.DataFrame":
        """What was measured, a row per figure: step, epoch, measure, quantity, of, value."""
        import pandas as pd

        return pd.DataFrame(self.records, columns=[column.name for column in MEASUREMENT_COLUMNS])

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        refuse_measures(self._settings, self._beginning())
        super().on_train_begin(logs)

    def _beginning(self) -> ModelBeginning:
        if isinstance(self.model, FullBatchModel):
            return ModelBeginning(self.model, self.model.trainer.training, self.model.trainer.batches)
        around, batches = self._around
        return ModelBeginning(around, around.trainer.training, batches, self.params["steps"] or 1)

    def moment(self, last: bool) -> tuple[TrainingMoment, float]:
        """See `Measurements.moment`."""
        if isinstance(self.model, FullBatchModel):
            return super().moment(last)
        around, batches = self._around
        around.trainer.begin(batches, 0)
        moment = TrainingMoment(
            around.trainer,
            self.model.optimizer,
            settings=around.settings,
            statistics=self._statistics,
            last=False,
        )
        return moment, moment.step / (self.params["steps"] or 1)

    @functools.cached_property
    def _around(self) -> tuple[FullBatchModel, UpdateBatches]:
        """A `FullBatchModel` of the same network and optimizer, and the samples."""
        model: keras.Model = self.model
        if self._data is None:
            raise UserError(
                "data is missing: give Measure(..., data=(inputs, targets)), since the model is no FullBatchModel."
            )
        batches = self._data if isinstance(self._data, UpdateBatches) else UpdateBatches(*self._data)
        around = compiled_around(
            model, model.loss, optimizer=model.optimizer, micro_batch_size=self._micro_batch_size
        )
        around.prepare(batches, training=True)
        return around, batches

    def _keep(self, measured: Measured) -> None:
        self.records += [dict(record) for record in measured.records]
