"""--dataset=digits: scikit-learn's handwritten digits, which need no download."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tf_fullbatch.data.sources.base import SourceSettings, image_size
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.fields import check_ranges

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset

_TEST_SIZE = 450


@dataclass(frozen=True, kw_only=True, slots=True)
class Digits(SourceSettings):
    """1,797 images of 8x8 pixels, one channel; pixel v in 0..16 becomes round(255 v / 16).

    The test set is the class-balanced validation set of 450 that `split_train` holds out; 1,347 remain.
    """

    summary: ClassVar[str] = "embedded, 1,797 images of 8x8"
    channels: ClassVar[int | None] = 1

    image_size: int | None = image_size()

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.image_size not in (None, 8):
            raise UserError(f"--image_size={self.image_size}: the digits are 8x8; leave it unset.")

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The digits."""
        import numpy as np
        from sklearn import datasets

        from tf_fullbatch.data.sources.dataset import Dataset, in_order
        from tf_fullbatch.data.splits import split_train

        digits = datasets.load_digits()
        pixels = (digits.images.astype(np.int64) * 255 + 8) // 16
        images = pixels.astype(np.uint8)[..., np.newaxis]
        labels = digits.target.astype(np.int32)
        train, test = split_train(labels, num_classes=10, train_size=None, validation_size=_TEST_SIZE)
        return Dataset(
            name=name,
            train=in_order(images[train], labels[train], 10),
            test=in_order(images[test], labels[test], 10),
            test_split="test",
        )

    def count_training_samples(self, name: str, data_dir: str | None) -> int:
        """1,347."""
        return len(self.load(name, data_dir).train)
