"""Damaged checkpoints: refused in one line, or the very arrays that were saved; the folder as it was."""

import hashlib
import io
import tempfile
import unittest
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.damage import DEEP_LIST, damaged_bytes, damaged_json
from tests.fuzz.test_damaged_records import snapshot
from tf_fullbatch.errors import UserError
from tf_fullbatch.records.checkpoint_files import ARRAYS, MANIFEST, SUMS
from tf_fullbatch.records.checkpoints import Checkpoint, load_checkpoint, load_latest, save_checkpoint

repeatable = settings(max_examples=300, deadline=None, derandomize=True, database=None)

SAVED = {
    "network/000/conv/kernel": np.random.default_rng(0).normal(size=(3, 3, 1, 2)).astype(np.float32),
    "optimizer/000/iteration": np.array(7, np.int64),
    "ema/updates": np.array([np.nan, -0.0, np.inf], np.float64),
    "flags": np.array([True, False]),
}
METADATA = {"samples_seen": 7, "best": [0.5, "nan"], "epoch_ended": True}


def recompute_sums(path: Path) -> None:
    """Makes a checkpoint's checksums those of the files as they are."""
    lines = [
        f"{hashlib.sha256((path / name).read_bytes()).hexdigest()}  {name}\n" for name in (ARRAYS, MANIFEST)
    ]
    (path / SUMS).write_text("".join(lines))


class DamagedCheckpointsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for step in (6, 7):
            self.path = save_checkpoint(
                self.folder, step=step, epoch=step / 2, arrays=SAVED, metadata=METADATA
            )
        self.original = {path.name: path.read_bytes() for path in self.path.iterdir()}
        self.ends: Counter[str] = Counter()

    def restore(self) -> None:
        for name, content in self.original.items():
            (self.path / name).write_bytes(content)

    def load(self) -> Checkpoint | None:
        """The checkpoint; None where it is refused, in one line. The files stay as they were."""
        before = snapshot(self.folder)
        loaded = None
        try:
            loaded = load_checkpoint(self.path)
        except UserError as error:
            self.assertTrue(str(error).isprintable(), error)
            self.assertTrue(str(error).startswith(f"checkpoint {self.path} "), error)
        self.ends["refused" if loaded is None else "loaded"] += 1
        self.assertEqual(before, snapshot(self.folder))
        return loaded

    def assert_as_saved(self, loaded: Checkpoint, step: int = 7) -> None:
        self.assertEqual((step, step / 2, METADATA), (loaded.step, loaded.epoch, loaded.metadata))
        self.assertEqual(list(SAVED), list(loaded.arrays))
        for name, array in SAVED.items():
            read = loaded.arrays[name]
            self.assertEqual(
                (array.dtype, array.shape, array.tobytes()), (read.dtype, read.shape, read.tobytes())
            )

    def test_every_change_is_caught(self):
        @repeatable
        @given(st.sampled_from([ARRAYS, MANIFEST, SUMS]), st.data())
        def check(name: str, data: st.DataObject) -> None:
            self.restore()
            strategy = damaged_json if name == MANIFEST else damaged_bytes
            content = data.draw(strategy(self.original[name]))
            (self.path / name).write_bytes(content)
            loaded = self.load()
            if loaded is not None:
                self.assert_as_saved(loaded)
            elif content == self.original[name]:
                self.fail("refused unchanged")
            newest, lines = load_latest(self.folder)
            assert newest is not None
            self.assert_as_saved(newest, 6 if loaded is None else 7)
            self.assertEqual(loaded is None, len(lines) == 1)

        check()
        self.assertGreater(self.ends["refused"], 150)

    def test_every_single_flipped_bit_of_the_arrays_is_caught(self):
        content = self.original[ARRAYS]
        for place in range(0, len(content), 7):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            (self.path / ARRAYS).write_bytes(changed)
            self.assertIsNone(self.load(), place)

    def test_with_recomputed_checksums_it_is_read_or_refused(self):
        @repeatable
        @given(st.sampled_from([ARRAYS, MANIFEST]), st.data())
        def check(name: str, data: st.DataObject) -> None:
            self.restore()
            strategy = damaged_json if name == MANIFEST else damaged_bytes
            (self.path / name).write_bytes(data.draw(strategy(self.original[name])))
            recompute_sums(self.path)
            self.load()

        check()
        self.assertGreater(self.ends["refused"], 100)

    def test_hostile_files_with_recomputed_checksums(self):
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**15,)}
        huge = io.BytesIO()
        np.lib.format.write_array_header_1_0(huge, header)
        cases = {
            "deep manifest": (MANIFEST, DEEP_LIST),
            "huge array": (ARRAYS, self.archive(huge.getvalue())),
            "no header": (ARRAYS, self.archive(b"\x93NUMPY\x01\x00\xff\xff")),
            "unbalanced header": (ARRAYS, self.archive(b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((\n")),
            "encrypted": (ARRAYS, self.archive(b"", encrypted=True)),
        }
        for name, (file, content) in cases.items():
            with self.subTest(name):
                self.restore()
                (self.path / file).write_bytes(content)
                recompute_sums(self.path)
                self.assertIsNone(self.load())

    def archive(self, member: bytes, *, encrypted: bool = False) -> bytes:
        """An arrays.npz with all members named as they should be, the first one being `member`."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for i in range(len(SAVED)):
                archive.writestr(f"{i:05d}.npy", member)
        content = bytearray(file.getvalue())
        if encrypted:  # the flag in the local header and in the directory
            content[6] |= 1
            content[content.index(b"PK\x01\x02") + 8] |= 1
        return bytes(content)


if __name__ == "__main__":
    unittest.main()
