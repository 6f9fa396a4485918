"""What is said of a run whose steps are all made: whether it has diverged all the same, and what to do about it."""

import keras
import pandas as pd

from tf_fullbatch.config.run import Config
from tf_fullbatch.core import keras_internals
from tf_fullbatch.errors import DivergedError
from tf_fullbatch.records.columns import EVALUATION_COLUMNS, STEP_COLUMNS
from tf_fullbatch.records.divergence import exploded
from tf_fullbatch.records.run_folder import RunFolder
from tf_fullbatch.records.tables import read_table
from tf_fullbatch.settings.part_names import is_users_code


def refuse_divergence(folder: RunFolder, config: Config, network: keras.Model, classes: int | None) -> None:
    """Looks at the last losses of a run's tables.

    Args:
        folder: The run.
        config: Its settings.
        network: Its network.
        classes: C of its data; None where they have none.

    Raises:
        DivergedError: One of them has exploded.
    """
    metrics = read_table(folder.metrics, STEP_COLUMNS)
    evaluations = read_table(folder.evaluations, EVALUATION_COLUMNS)
    new_weights = config.model.initial_weights is None and not is_users_code(config.model.model)
    found = exploded(metrics, evaluations, classes, new_weights=new_weights)
    if found is not None:
        advice = _advice(found.split, metrics, network)
        raise DivergedError(f"diverged: {found.text}. {advice} All files are kept, the last weights too.")


def _advice(split: str, metrics: pd.DataFrame, network: keras.Model) -> str:
    if split == "training":
        return "Lower --learning_rate or set --clip_norm."
    loss = f"{metrics['loss'].iloc[-1]:.4g}"
    if any(isinstance(one, keras.layers.BatchNormalization) for one in keras_internals.layers_of(network)):
        return (
            f"With the statistics of its micro-batches the last step had {loss}: batch normalisation's moving "
            "averages do not fit the weights. Lower --learning_rate, train for more passes, or use --ema_decay or "
            "another --norm."
        )
    return f"The last step had {loss} on the training set: lower --learning_rate, or use --ema_decay."
