"""Settings as earlier versions recorded them, made complete."""

from typing import Any

from tf_fullbatch.analysis.settings import MeasureConfig
from tf_fullbatch.config.runtime import GOALS
from tf_fullbatch.data.controls.settings import ControlConfig

_DEFAULTS: dict[str, dict[str, Any]] = {
    "data": {
        "dataset_options": None,
        "classes": None,
        "target": None,
        "target_kind": "auto",
        "vocabulary_size": 20_000,
        "text_length": 256,
        "shorter_side": None,
        "stream_images": "auto",
        "random_resized_crop": False,
    },
    "model": {
        "step": None,
        "model_options": None,
        "ghost_batch_size": 128,
        "weight_standardisation": False,
        "zero_init_residual": False,
    },
    "optimizer": {
        "optimizer_options": None,
        "line_search": None,
        "line_search_options": None,
        "loss": "cross_entropy",
        "loss_options": None,
        "label_smoothing_form": "uniform",
        "extend_epochs": (),
        "extend_learning_rate": (),
        "extend_warmup_epochs": (),
        "extend_schedule": (),
    },
    "step": {
        "fused_batch_norm": False,
        "augmentation_options": None,
        "max_up": 1,
        "augment_copies": None,
        "copies_in_turn": False,
        "test_time_augmentation": "none",
        "learning_rate_factors": None,
        "perturbation": "none",
        "perturbation_radius": None,
        "perturbation_options": None,
        "gradient_transforms": None,
        "update_transforms": None,
        "lookahead_steps": None,
        "lookahead_factor": 0.5,
    },
    "runtime": {
        **dict.fromkeys(GOALS),
        "swa_start_epoch": None,
        "data_on_device": "auto",
        "evaluate_test": True,
        "tensorboard_axes": ("step",),
        "loggers": (),
        "cluster": None,
        "cluster_efficiency": None,
    },
}
"""What the runs of version 0.1.0 did where they had no setting for it."""


LATER_GROUPS: dict[str, dict[str, Any]] = {
    "controls": ControlConfig().to_flat(),
    "measures": MeasureConfig().to_flat(),
}
"""Groups of settings that runs of version 0.1.0 lack."""


def completed(group: str, values: dict[str, Any]) -> dict[str, Any]:
    """A group's recorded values with those that did not exist when they were recorded, as runs then did it.

    Args:
        group: The group's name.
        values: Setting -> value.
    """
    values = _DEFAULTS.get(group, {}) | (_without_keras_cv(values) if group == "step" else values)
    if group == "data" and isinstance(values["classes"], int):  # of a run before classes could be listed
        values["classes"] = str(values["classes"])
    return values


def _without_keras_cv(values: dict[str, Any]) -> dict[str, Any]:
    """Settings of a step without those that version 0.1.0 had for keras-cv's RandAugment.

    A run that used it is named by the list that is nearest, so that it is read, reported and evaluated, while the same
    command as then, whose images would be others, does not go on with it.
    """
    values = dict(values)
    operations = values.pop("randaugment_operations", None)
    magnitude = values.pop("randaugment_magnitude", None)
    if values.get("augmentation") == "randaugment" and operations is not None and magnitude is not None:
        padding = values.pop("augmentation_padding", 4)
        values |= {"augmentation_padding": 4}
        values["augmentation"] = f"crop{padding},flip,randaugment(n={operations},m={round(30 * magnitude)})"
    return values
