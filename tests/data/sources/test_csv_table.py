"""Tables of numbers in files of comma-separated values."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from absl.testing import parameterized

from tests.command import command
from tf_fullbatch import open_run
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.settings import own_parts, part_names

TABLE = """size,age, price,kind,split
1.5,3,10.25,b,train
2,4,-1e3,a,train
-0.125,5,7,b,test
8,6,0.1,a,train
"""


class CsvTableTest(parameterized.TestCase):
    def setUp(self) -> None:
        self.path = Path(self.enterContext(tempfile.TemporaryDirectory())) / "table.csv"

    def load(self, text: str, **settings: Any) -> Any:
        self.path.write_text(text)
        return DataConfig.of(dataset=str(self.path), **settings).load()

    def without(self, *columns: str) -> str:
        rows = [line.split(",") for line in TABLE.splitlines()]
        kept = [i for i, name in enumerate(rows[0]) if name.strip() not in columns]
        return "".join(",".join(row[i] for i in kept) + "\n" for row in rows)

    def test_numbers(self) -> None:
        found = self.load(self.without("kind"), target="price")
        self.assertEqual((len(found.train), len(found.test), found.num_classes), (3, 1, 1))
        np.testing.assert_array_equal(found.train.inputs, np.float32([[1.5, 3], [2, 4], [8, 6]]))
        np.testing.assert_array_equal(found.train.targets, np.float32([10.25, -1e3, 0.1]))
        np.testing.assert_array_equal(found.test.targets, np.float32([7]))
        self.assertEqual(self.load(self.without("kind", "split"), target="price").test, None)
        self.assertEqual(DataConfig.of(dataset=str(self.path), target="price").count_training_samples(), 4)

    def test_classes(self) -> None:
        found = self.load(TABLE, target="kind")
        np.testing.assert_array_equal(found.train.targets, [1, 0, 0])
        np.testing.assert_array_equal(found.test.targets, [1])
        self.assertEqual((found.num_classes, found.train.inputs.shape), (2, (3, 3)))
        whole = self.without("kind", "split")
        np.testing.assert_array_equal(self.load(whole, target="age").train.targets, [0, 1, 2, 3])
        ages = self.load(whole, target="age", target_kind="numbers").train.targets
        np.testing.assert_array_equal(ages, np.float32([3, 4, 5, 6]))
        prices = self.load(whole, target="price", target_kind="classes").train.targets
        np.testing.assert_array_equal(prices, [3, 0, 2, 1])

    @parameterized.parameters(
        (TABLE, {}, "it needs --target=COLUMN: name one of size, age, price, kind, split"),
        (TABLE, {"target": "cost"}, "it has no column 'cost': name one of size"),
        (TABLE, {"target": "price"}, r"'kind' is text \('b' in row 1\): leave it out"),
        (TABLE.replace("-1e3", "?"), {"target": "kind"}, r"'price' is text \('\?' in row 2\)"),
        (TABLE.replace("-1e3", ""), {"target": "kind"}, r"'price' has no value in 1 row\(s\), the first is row 2"),
        (TABLE.replace("b,test", "c,test"), {"target": "kind"}, "target of row 3 is 'c', which no training sample"),
        (TABLE.replace("b,test", "b,dev"), {"target": "kind"}, "'split' says 'dev' of row 3: give train, valid"),
        (TABLE.replace("train", "test"), {"target": "kind"}, "'split' says 'train' of no row"),
        (TABLE, {"target": "kind", "target_kind": "numbers"}, "--target_kind=numbers: the column 'kind' is text"),
        (TABLE.replace("8,6", "inf,6"), {"target": "kind"}, r"not finite .* the first is 2"),
        ("a\n1\n2\n", {"target": "a"}, "it has no column beside --target=a"),
        ("a,b\n", {"target": "a"}, "it has no rows"),
        ("", {"target": "a"}, "is no table of comma-separated values"),
        ("a,b\n1,2\n1,2,3,4\n", {"target": "a"}, "is no table of comma-separated values"),
    )  # fmt: skip
    def test_what_is_refused(self, text: str, settings: dict, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            self.load(text, **settings)
        self.assertNotIn("\n", str(caught.exception))

    def test_files_that_are_none(self) -> None:
        for content in (None, b"\xff\xfe\x00\x81"):
            if content is not None:
                self.path.write_bytes(content)
            with self.assertRaisesRegex(UserError, "cannot read it|is no table"):
                DataConfig.of(dataset=str(self.path), target="a").load()

    def test_its_name_and_hash(self) -> None:
        self.assertTrue(part_names.absolute("a.csv").endswith("/a.csv"))
        self.assertEqual(part_names.shortened("/x/a.csv"), "a.csv")
        self.path.write_text(TABLE)
        before = own_parts.file_hash("dataset", str(self.path))
        self.path.write_text(TABLE.replace("1.5", "1.6"))
        self.assertNotEqual(own_parts.file_hash("dataset", str(self.path)), before)

    def test_a_run_ends_at_least_squares_of_standardised_features(self) -> None:
        rng = np.random.default_rng(0)
        features = rng.normal(size=(50, 3)) * [1, 100, 0.01] + [0, 1000, 5]
        numbers = features @ [2.0, -0.03, 40] + rng.normal(size=50)
        lines = [",".join(f"{x:.17g}" for x in (*row, y)) for row, y in zip(features, numbers, strict=True)]
        self.path.write_text("a,b,c,y\n" + "\n".join(lines) + "\n")
        folder = self.path.parent / "run"
        ended = command(
            f"--dataset={self.path}", "--target=y", "--model=linear", "--loss=keras:MeanSquaredError",
            "--validation_size=10", "--epochs=150", "--learning_rate=0.3", "--schedule=constant", "--warmup_epochs=0",
            "--weight_decay=0", f"--output_dir={folder}", "--micro_batch_size=16",
        )  # fmt: skip
        self.assertEqual(ended.code, 0, ended.err)
        run = open_run(folder)
        train = run.splits.train
        self.assertEqual(len(train), 40)
        x = train.inputs.astype(np.float64)
        normalised = (x - x.mean(axis=0)) / x.std(axis=0)
        design = np.concatenate([normalised, np.ones((40, 1))], axis=1)
        solution, *_ = np.linalg.lstsq(design, train.targets.astype(np.float64), rcond=None)
        least = np.mean((design @ solution - train.targets) ** 2)
        outputs = run.network(train.inputs).numpy()[:, 0]
        # 150 steps at the rate 0.3 shrink what is left along the flattest direction by far more than float32 holds.
        np.testing.assert_allclose(np.mean((outputs - train.targets) ** 2), least, rtol=1e-4)


if __name__ == "__main__":
    import unittest

    unittest.main()
