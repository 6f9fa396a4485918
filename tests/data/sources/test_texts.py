"""Sets of texts: their vocabulary and tokens, and a network that learns from them."""

import collections
import re
import tempfile
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.command import command, steps_of
from tf_fullbatch import open_run
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError

WORDS = ("good", "bad", "film", "plot", "the", "a", "was", "not")


def sentence(i: int) -> str:
    """A text whose class, i % 2, its words tell."""
    rng = np.random.default_rng(i)
    return f"The {' '.join(rng.choice(WORDS[2:], rng.integers(2, 9)))}, {WORDS[i % 2]}!"


class Reviews(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """In the form of imdb_reviews."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS: ClassVar[dict[str, int]] = {"train": 30, "test": 8, "unsupervised": 5}

    def _info(self) -> Any:
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["neg", "pos"])}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("text", "label")
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        return {split: self._generate_examples(split, count) for split, count in self.SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Any:
        for i in range(count):
            yield i, {"text": sentence(i), "label": -1 if split == "unsupervised" else i % 2}


class News(Reviews, skip_registration=True):
    """In the form of ag_news_subset: two texts, of which TFDS pairs one with the label."""

    SPLITS: ClassVar[dict[str, int]] = {"train": 30, "test": 8}

    def _info(self) -> Any:
        features = {key: tfds.features.Text() for key in ("title", "description")}
        features["label"] = tfds.features.ClassLabel(num_classes=4)
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("description", "label"),
        )

    def _generate_examples(self, split: str, count: int) -> Any:
        for i in range(count):
            yield i, {"title": "no", "description": sentence(i), "label": i % 4}


def tokens_by_hand(texts: list[str], train: list[str], size: int, length: int) -> np.ndarray:
    """Lower case, no punctuation, most frequent words first, those of one frequency in falling order of spelling."""

    def words(text: str) -> list[str]:
        return re.sub(r"[^\w\s]", "", text.lower()).split()

    counts = collections.Counter(word for text in train for word in words(text))
    kept = sorted(counts, key=lambda word: (counts[word], word), reverse=True)[: size - 2]
    numbers = {word: place + 2 for place, word in enumerate(kept)}
    found = np.zeros((len(texts), length), int)
    for row, text in enumerate(texts):
        some = [numbers.get(word, 1) for word in words(text)][:length]
        found[row, : len(some)] = some
    return found


class TextsTest(tf.test.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def load(self, made: type, **settings: Any) -> Any:
        with mock.patch.object(tfds, "builder", return_value=made(data_dir=self.folder)):
            return DataConfig.of(dataset=made.name, data_dir=str(self.folder), **settings).load()

    def table(self, rows: list[tuple[str, ...]], columns: str = "text,kind,split") -> Path:
        path = self.folder / "texts.csv"
        path.write_text("\n".join([columns, *(",".join(f'"{cell}"' for cell in row) for row in rows)]) + "\n")
        return path

    def test_tokens_of_tfds_texts(self) -> None:
        for made, classes in ((Reviews, 2), (News, 4)):
            found = self.load(made, vocabulary_size=6, text_length=5)
            self.assertEqual((len(found.train), len(found.test), found.num_classes), (30, 8, classes))
            self.assertEqual(
                (found.train.inputs.dtype, found.train.vocabulary, found.test.vocabulary), ("int32", 6, 6)
            )
            for split, count in (("train", 30), ("test", 8)):
                here = getattr(found, split)
                expected = tokens_by_hand(
                    [sentence(i) for i in range(count)], [sentence(i) for i in range(30)], 6, 5
                )
                # TFDS shuffles: the sentences are found again by their tokens and classes.
                pairs = sorted((*row, i % classes) for i, row in enumerate(expected.tolist()))
                self.assertEqual(
                    sorted(
                        (*row, y) for row, y in zip(here.inputs.tolist(), here.targets.tolist(), strict=True)
                    ),
                    pairs,
                )

    def test_a_column_of_texts(self) -> None:
        texts = [sentence(i) for i in range(12)]
        rows = [(text, WORDS[i % 2], "test" if i > 8 else "train") for i, text in enumerate(texts)]
        rows[10] = ("words never seen, or: , !", "bad", "test")
        texts[10] = rows[10][0]
        found = DataConfig.of(
            dataset=str(self.table(rows)), target="kind", vocabulary_size=7, text_length=4
        ).load()
        self.assertEqual((len(found.train), len(found.test), found.train.vocabulary), (9, 3, 7))
        expected = tokens_by_hand(texts, texts[:9], 7, 4)
        self.assertAllEqual(found.train.inputs, expected[:9])
        self.assertAllEqual(found.test.inputs, expected[9:])
        self.assertAllEqual(found.test.inputs[1], [1, 1, 1, 1])
        self.assertAllEqual(found.train.targets, [(i + 1) % 2 for i in range(9)])

    def test_texts_without_words(self) -> None:
        path = self.table([("!", "a", "train"), ("?", "b", "train")])
        with self.assertRaisesRegex(UserError, "its training texts have no words"):
            DataConfig.of(dataset=str(path), target="kind").load()

    def run_of(self, *flags: str) -> Any:
        rows = [(sentence(i), WORDS[i % 2], "train" if i < 30 else "test") for i in range(40)]
        return command(
            f"--dataset={self.table(rows)}", "--target=kind", "--text_length=6", f"--output_dir={self.folder / 'run'}",
            "--micro_batch_size=8", "--epochs=80", "--warmup_epochs=0", "--optimizer=keras:Adam", "--learning_rate=0.1",
            "--width=3", *flags,
        )  # fmt: skip

    def test_a_run_learns_which_words_tell(self) -> None:
        ended = self.run_of("--model=text_average", "--text_length=10")
        self.assertEqual(ended.code, 0, ended.err)
        self.assertLess(
            steps_of(self.folder / "run")[-1]["loss"], np.log(2) / 2
        )  # half of what guessing gives
        run = open_run(self.folder / "run")
        self.assertEqual(run.network.get_layer("embedding").input_dim, run.splits.train.vocabulary)
        outputs = run.network(run.splits.test.inputs).numpy()
        self.assertAllEqual(outputs.argmax(axis=1), run.splits.test.targets)

    def test_networks_that_do_not_fit(self) -> None:
        ended = self.run_of("--model=mlp")
        self.assertEqual(ended.code, 2)
        self.assertRegex(
            ended.err, "are integers .tokens., which this network does not take: .*text_average, text_mlp"
        )
        ended = command("--dataset=digits", "--model=text_cnn", f"--output_dir={self.folder / 'run'}")
        self.assertEqual(ended.code, 2)
        self.assertRegex(
            ended.err, "--model=text_cnn: the inputs of --dataset=digits are uint8.8, 8, 1., which this"
        )


if __name__ == "__main__":
    tf.test.main()
