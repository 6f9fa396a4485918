"""Class-balanced, nested training subsets and a validation set beside them: positions, from labels alone."""

import numpy as np

from tf_fullbatch.data.draws import mixed
from tf_fullbatch.errors import UserError

# Fixed for good: another value would be another set of subsets, and results would not compare.
SPLIT_SEED = 20210929


def split_train(
    labels: np.ndarray, *, num_classes: int, train_size: int | None, validation_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the samples to train on and those held out for validation.

    The samples of each class have a fixed order (see `_keys`). The training subset deals out classes in turn
    from the front of these orders, the validation set from their back. Hence

    - both are class-balanced: counts differ by at most 1 as long as no class runs out;
    - a smaller training subset lies in every larger one of the same `validation_size`;
    - a smaller validation set lies in every larger one, and none depends on `train_size`;
    - nothing depends on the run's seed, on NumPy's generators or on the order of the classes' samples.

    Args:
        labels: int [samples], the class of each sample in the source's fixed order.
        num_classes: Number of classes C; labels lie in 0..C-1.
        train_size: Number of training samples; None takes all that are not held out.
        validation_size: Number of samples held out, 0 for none.

    Returns:
        Positions in `labels` of the training and of the validation samples, int64, each ascending.

    Raises:
        UserError: The sizes do not fit the samples there are.
        ValueError: `labels` is not a vector of classes 0..C-1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or (len(labels) and (labels.min() < 0 or labels.max() >= num_classes)):
        raise ValueError(f"labels must be a vector of classes 0..{num_classes - 1}, got shape {labels.shape}")
    check_sizes(len(labels), train_size, validation_size)
    keys = _keys(len(labels))
    validation = _deal(labels, keys, from_back=True)[:validation_size]
    rest = np.setdiff1d(np.arange(len(labels)), validation, assume_unique=True)
    train = rest[_deal(labels[rest], keys[rest], from_back=False)[:train_size]]
    return np.sort(train), np.sort(validation)


def check_sizes(available: int, train_size: int | None, validation_size: int) -> None:
    """Refuses sizes that leave no training sample or ask for more than there are.

    Raises:
        UserError: Sizes that do not fit the `available` samples of the source's training set.
    """
    if not 0 <= validation_size < available:
        raise UserError(
            f"--validation_size={validation_size}: the training set has {available} samples and keeps at "
            f"least 1; give 0 to {available - 1}"
        )
    left = available - validation_size
    if train_size is not None and not 1 <= train_size <= left:
        raise UserError(
            f"--train_size={train_size}: {left} of {available} training samples are left beside "
            f"--validation_size={validation_size}; give 1 to {left}, or leave it out for all of them"
        )


def _keys(count: int) -> np.ndarray:
    """The sort key of each position: SplitMix64's output function of position + 1 and `SPLIT_SEED`.

    A bijection of 64-bit integers, so no two positions tie.
    """
    counter = np.arange(1, count + 1, dtype=np.uint64)
    return mixed(np.uint64(SPLIT_SEED) + counter * np.uint64(0x9E3779B97F4A7C15))


def _deal(labels: np.ndarray, keys: np.ndarray, *, from_back: bool) -> np.ndarray:
    """Positions dealt out in turn: each class's first sample by key (last, if `from_back`), its second..."""
    by_class = np.lexsort((~keys if from_back else keys, labels))
    counts = np.bincount(labels) if len(labels) else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - starts[labels[by_class]]
    return np.lexsort((labels, rank))
