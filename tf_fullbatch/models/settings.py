"""Settings of the network."""

from dataclasses import dataclass

from tf_fullbatch.models.base import NetworkSettings
from tf_fullbatch.models.own import OwnModel
from tf_fullbatch.models.registry import MODELS
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.components import Group, chosen_by
from tf_fullbatch.settings.fields import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Group):
    """The network."""

    model: str = setting(
        "resnet8",
        "Network.",
        choices=tuple(MODELS),
        or_code=True,
        listed_by="python -m tf_fullbatch.models",
    )
    chosen_model: NetworkSettings | OwnModel = chosen_by("model", MODELS, (part_names.names_code, OwnModel))
    initial_weights: str | None = setting(
        None, "Start from these weights: a run folder, a model.keras or a .weights.h5 file."
    )
    step: int | None = setting(
        None,
        "Which kept checkpoint, by its step: of the run folder that --initial_weights names, or of --output_dir with "
        "--mode=evaluate. Unset: the last.",
        minimum=0,
    )
