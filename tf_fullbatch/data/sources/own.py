"""--dataset=FILE.py:function or package.module:function: arrays that the user's code makes or reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.sources.base import SourceSettings
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts, part_options
from tf_fullbatch.settings.fields import setting

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnData(SourceSettings):
    """A function `(**options)` that returns "train", "validation" and "test" -> (inputs, targets)."""

    dataset_options: str | None = setting(
        None,
        "Options of a --dataset that is a function, as --model_options, such as noise=0.1.",
        options=True,
    )

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """What the function returns."""
        from tf_fullbatch.data.sources.users_arrays import dataset_of

        function = own_parts.function_of("dataset", name)
        options = part_options.parsed_options("dataset", self.dataset_options)
        parts = own_parts.called("dataset", name, function, {}, options)
        if not isinstance(parts, Mapping) or not all(
            isinstance(pair, tuple | list) and len(pair) == 2 for pair in parts.values()
        ):
            raise UserError(
                f"it returned a {type(parts).__name__}: return a dictionary, 'train' (and 'validation', 'test') -> "
                "(inputs, targets)."
            )
        return dataset_of(name, {str(split): (x, y) for split, (x, y) in parts.items()})

    def count_training_samples(self, name: str, data_dir: str | None) -> int | None:
        """Not known before the function is called."""
        return None
