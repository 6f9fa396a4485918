"""--dataset=FILE.npz: arrays that NumPy saved."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.sources.base import SourceSettings
from tf_fullbatch.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class Npz(SourceSettings):
    """`inputs` and `targets`; or `train_inputs`, `train_targets`, and the same of `validation` and `test`."""

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The arrays of the file; nothing in it is run."""
        from tf_fullbatch.data.sources.users_arrays import SPLITS, dataset_of

        arrays = _read(name)
        names = {split: (f"{split}_inputs", f"{split}_targets") for split in SPLITS}
        if set(arrays) == {"inputs", "targets"}:
            names["train"] = ("inputs", "targets")
        pairs = {split: pair for split, pair in names.items() if arrays.keys() & set(pair)}
        accepted = {key for pair in pairs.values() for key in pair}
        if "train" not in pairs or accepted != set(arrays):
            raise UserError(
                f"it holds {', '.join(map(repr, sorted(arrays))) or 'nothing'}: give 'inputs' and 'targets', or "
                "'train_inputs', 'train_targets' and the same of 'validation' and 'test'."
            )
        return dataset_of(name, {split: (arrays[x], arrays[y]) for split, (x, y) in pairs.items()})

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """Those of the file."""
        return len(self.load(name, data_dir).train)


def _read(name: str) -> "dict[str, np.ndarray]":
    import zipfile

    import numpy as np

    try:
        with np.load(name, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise UserError(f"cannot read it ({error.strerror or error}).") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError("it is no .npz of plain arrays (as np.savez writes them), or damaged.") from error
