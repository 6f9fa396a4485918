"""Arrays of the user's own: what they become, and what is refused."""

import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any

import numpy as np
from absl.testing import parameterized

from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources.users_arrays import dataset_of
from tf_fullbatch.errors import UserError

X = np.arange(24.0).reshape(6, 4)
Y = np.arange(6) % 3


def train(inputs: Any = X, targets: Any = Y) -> dict[str, tuple]:
    return {"train": (inputs, targets)}


class DatasetOfTest(parameterized.TestCase):
    @parameterized.parameters(
        ("float64", (6, 4), "float32", (6, 4)),
        ("float16", (6, 2, 2), "float32", (6, 2, 2)),
        ("uint8", (6, 2, 2), "uint8", (6, 2, 2, 1)),
        ("uint8", (6, 2, 2, 1), "uint8", (6, 2, 2, 1)),
        ("uint8", (6, 4), "uint8", (6, 4)),
        ("int64", (6, 4), "int32", (6, 4)),
        ("bool", (6, 4), "int32", (6, 4)),
    )
    def test_pixels_numbers_tokens(self, dtype: str, shape: tuple, becomes: str, shaped: tuple) -> None:
        found = dataset_of("a", train(X.reshape(shape).astype(dtype))).train
        self.assertEqual((found.inputs.dtype.name, found.inputs.shape), (becomes, shaped))
        np.testing.assert_array_equal(found.inputs.ravel(), X.astype(dtype).ravel())
        self.assertEqual(found.are_images, len(shaped) == 4)

    def test_splits_and_classes(self) -> None:
        found = dataset_of("a", {**train(), "validation": (X[:2], Y[:2]), "test": (X[2:], Y[2:, None])})
        self.assertEqual((found.num_classes, found.test_split), (3, "test"))
        self.assertEqual([len(s) for s in (found.train, found.validation, found.test)], [6, 2, 4])
        np.testing.assert_array_equal(found.test.targets, Y[2:])
        alone = dataset_of("a", train(X.tolist(), Y.tolist()))
        self.assertEqual((alone.test, alone.validation, alone.test_split), (None, None, None))

    @parameterized.parameters(
        (Y, "int32", 3),
        (Y[:, None], "int32", 3),
        (np.stack([Y, Y + 4], axis=1), "int32", 7),
        (Y / 2, "float32", 1),
        (np.eye(6, 2), "float32", 2),
    )
    def test_classes_or_numbers(self, targets: Any, dtype: str, outputs: int) -> None:
        found = dataset_of("a", train(targets=targets)).train
        self.assertEqual((found.targets.dtype.name, found.num_classes), (dtype, outputs))
        self.assertEqual(found.has_classes, dtype == "int32" and found.targets.ndim == 1)

    def test_several_inputs_and_outputs(self) -> None:
        pixels = np.zeros((6, 2, 2), np.uint8)
        part = ({"image": pixels, "numbers": X}, (Y, Y / 2))
        found = dataset_of("a", {"train": part}).train
        self.assertEqual(found.input_shape, {"image": (2, 2, 1), "numbers": (4,)})
        self.assertEqual((found.num_classes, found.are_images, len(found)), ((3, 1), False, 6))
        some = found.select(np.array([4, 1]))
        np.testing.assert_array_equal(some.inputs["numbers"], X[[4, 1]])
        np.testing.assert_array_equal(some.targets[1], np.float32(Y / 2)[[4, 1]])
        np.testing.assert_array_equal(some.sample_ids, [4, 1])

    def test_as_many_classes_as_targets_or_tokens(self) -> None:
        self.assertEqual(dataset_of("a", train(targets=np.arange(6)[::-1])).num_classes, 6)
        tokens = X.astype(int)
        self.assertEqual(dataset_of("a", train(tokens, Y + 21)).num_classes, 24)
        few = DataConfig.of(dataset="digits", train_size=5).load()
        self.assertEqual(few.num_classes, 10)

    @parameterized.parameters(
        ({"test": (X, Y)}, "has the splits 'test': give 'train'"),
        ({**train(), "dev": (X, Y)}, "'dev'"),
        (train(X[:5]), "5 inputs and 6 targets"),
        (train(X[:0], Y[:0]), "0 inputs and 0 targets"),
        (train(X[:, 0]), r"give \[samples, features\]"),
        (train(np.where(X == 13, np.nan, X)), r"not finite \(in float32\) in 1 sample\(s\), the first is 3"),
        (train(np.where(X == 13, 1e39, X)), r"not finite \(in float32\) in 1 sample\(s\), the first is 3"),
        (train(X.astype(str)), "give pixels"),
        (train(X + 1j), "give pixels"),
        (train([[1, 2], [3]]), "are no array"),
        (train(3.0), "are one value"),
        (train(targets=["a"] * 6), "text or objects.*np.unique"),
        (train(targets=Y + 2**32), "run from 4294967296 to 4294967298: give whole numbers of 32 bits"),
        (train(inputs=X.astype(int) + 2**40), "whole numbers of 32 bits"),
        (train(targets=Y + 1j), "are complex128: give class numbers"),
        (
            train(targets=np.where(Y == 2, 1e60, Y)),
            r"targets of 'train' are not finite .in float32. in 2 sample\(s\), .* 2:",
        ),
        (train(inputs={"a": X, "b": X[:4]}), "has 4 and 6 inputs and 6 targets"),
        (train(inputs={"a": X, "b": X.astype(str)}), "inputs 'b' of 'train' are <U32: give pixels"),
        (train(inputs={}), "are no array|one value|empty"),
        ({**train({"a": X}), "test": ({"b": X}, Y)}, "give them alike"),
        ({**train(), "test": (X, Y / 2)}, "targets of 'test' are float32.*those of 'train' int32"),
        (train(targets=(Y, 0 * Y)), "at least two classes"),
        (train(targets=Y - 1), r"targets of 'train' go down to -1 \(sample 0\): give class numbers from 0"),
        (train(targets=np.stack([Y, np.arange(6) - 5], 1)[::-1]), r"go down to -5 \(sample 5\)"),
        (
            train(targets=np.where(X[:, 0] == 8, 10**9, Y)),
            r"1,000,000,000 \(sample 2\).* 1,000,000,001 .* among 6 targets: ",
        ),
        (train(targets=np.where(X[:, 0] == 8, 6, Y)), r"go up to 6 \(sample 2\), which makes 7 classes"),
        (
            train(targets=(Y, np.stack([Y, Y, 12 * (Y == 1)], 1)[:, 1:])),
            r"go up to 12 \(sample 1\), .* 12 targets",
        ),
        (train(inputs=X.astype(int), targets=Y + 30), r"go up to 32 \(sample 2\), which makes 33 classes"),
        (train(targets=0 * Y), "at least two classes"),
        ({**train(), "test": (X, Y + 1)}, r"'test' go up to 3 \(sample 2\), those of 'train' to 2"),
        ({**train(), "test": (X[:, :2], Y)}, "give them alike"),
        ({**train(), "test": (X.astype(int), Y)}, "give them alike"),
    )
    def test_what_is_refused(self, parts: dict[str, tuple], words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            dataset_of("a", parts)
        self.assertEqual(len(str(caught.exception).splitlines()), 1)


class SourcesTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def load(self, name: Any, **settings: Any) -> Any:
        return DataConfig.of(dataset=str(name), **settings).load()

    def refused(self, words: str, name: Any, **settings: Any) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            self.load(name, **settings)
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    def test_an_npz(self) -> None:
        path = self.folder / "a.npz"
        np.savez(path, inputs=X, targets=Y)
        np.testing.assert_array_equal(self.load(path).train.inputs, X)
        self.assertEqual(DataConfig.of(dataset=str(path)).count_training_samples(), 6)
        np.savez_compressed(path, train_inputs=X, train_targets=Y, test_inputs=X[:2], test_targets=Y[:2])
        self.assertEqual(len(self.load(path).test), 2)

    def test_files_that_are_none(self) -> None:
        path = self.folder / "a.npz"
        self.refused("cannot read it", path)
        np.savez(path, x=X, y=Y)
        self.refused("it holds 'x', 'y': give 'inputs' and 'targets'", path)
        np.savez(path, train_inputs=X, train_targets=Y, test_inputs=X)
        self.refused("it holds 'test_inputs', 'train_inputs', 'train_targets'", path)
        np.savez(path, inputs=X, targets=np.array([{}] * 6))
        self.refused("no .npz of plain arrays", path)
        for content in (b"", b"hello", b"PK\x03\x04 and no more"):
            path.write_bytes(content)
            self.refused("no .npz of plain arrays", path)

    def test_a_function(self) -> None:
        path = self.folder / "own.py"
        path.write_text(
            textwrap.dedent("""
                import numpy as np

                def data(n=6, other=False):
                    x = np.arange(4.0 * n).reshape(n, 4)
                    return x if other else {"train": (x, np.arange(n) % 3)}
            """)
        )
        self.assertEqual(len(self.load(f"{path}:data", dataset_options="n=9").train), 9)
        self.assertIsNone(DataConfig.of(dataset=f"{path}:data").count_training_samples())
        self.refused("returned a ndarray: return a dictionary", f"{path}:data", dataset_options="other=True")
        self.refused("unexpected keyword argument 'm'", f"{path}:data", dataset_options="m=1")
        self.refused("has no function or class 'nothing'; it has data", f"{path}:nothing")


if __name__ == "__main__":
    unittest.main()
