"""Any other --dataset: image or text classification from TensorFlow Datasets (TFDS)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_fullbatch.data.sources.base import SourceSettings, image_size, target, text_length, vocabulary_size
from tf_fullbatch.data.sources.registry import SOURCES

if TYPE_CHECKING:
    from tf_fullbatch.data.sources.dataset import Dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class TfdsSource(SourceSettings):
    """What `tfds.builder` takes: a name such as "cifar10", with a config or version where there are several.

    Images are brought to `image_size` pixels where it is given: the central square of the shorter side, resized
    bilinearly with antialiasing. It is needed where a source's images vary in size. The order of samples is the
    source's official one where their ids tell it (`train_00042`), else that of its files. Texts become tokens, see
    `texts.vectorised`.
    """

    image_size: int | None = image_size()
    target: str | None = target()
    vocabulary_size: int = vocabulary_size()
    text_length: int = text_length()

    def load(self, name: str, data_dir: str | None) -> "Dataset":
        """The training set, and "test" or else "validation" where it is labelled."""
        from tf_fullbatch.data.sources import tfds_builder, tfds_reading
        from tf_fullbatch.data.sources.dataset import Dataset, in_order

        builder = tfds_builder.open_builder(
            name, data_dir=data_dir, label=self.target, other_names=list(SOURCES)
        )
        keys = tfds_builder.keys_of(builder, self.target)
        classes = builder.info.features[keys.label]
        vocabulary = None
        if keys.is_text:
            from tf_fullbatch.data.sources.texts import vectorised

            texts, labels, test_split = tfds_reading.read_texts(builder, keys)
            tokens, vocabulary = vectorised(texts, self.vocabulary_size, self.text_length)
            train = tokens["train"], labels["train"]
            test = (tokens["test"], labels["test"]) if test_split else None
        else:
            train, test, test_split = tfds_reading.read_splits(builder, keys, image_size=self.image_size)
        return Dataset(
            name=name,
            train=in_order(*train, classes.num_classes, vocabulary),
            test=None if test is None else in_order(*test, classes.num_classes, vocabulary),
            test_split=test_split,
            class_names=tuple(classes.names),
        )

    def has_validation(self, name: str, data_dir: str | None) -> bool:
        """No: a labelled split "validation" serves as test where there is no other."""
        return False

    def count_training_samples(self, name: str, data_dir: str | None) -> int | None:
        """As far as TFDS knows without preparing the set."""
        from tf_fullbatch.data.sources import tfds_builder

        return tfds_builder.count_training_samples(name, data_dir=data_dir)
