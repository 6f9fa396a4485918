"""The files of a checkpoint: exact round trips, and every kind of damage refused or passed over."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.training.checkpoint_cases import (
    CheckpointsTestCase,
    contents,
    empty,
    flip_a_bit,
    save,
    truncate,
    zero,
)
from tf_fullbatch.errors import UserError
from tf_fullbatch.records import checkpoint_files
from tf_fullbatch.records.checkpoints import load_checkpoint, load_latest, save_checkpoint

FILES = ("arrays.npz", "manifest.json", "SHA256SUMS")


def seal(path: Path) -> None:
    """Gives the files in a checkpoint, whatever they are now, checksums that match."""
    lines = [f"{hashlib.sha256((path / n).read_bytes()).hexdigest()}  {n}\n" for n in FILES[:2]]
    (path / "SHA256SUMS").write_text("".join(lines))


def change_manifest(path: Path, change: Callable[[dict], object]) -> None:
    """Edits a manifest as another program might have written it, checksums matching."""
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))
    seal(path)


class RoundTripTest(CheckpointsTestCase):
    @settings(deadline=None, max_examples=40)
    @given(
        st.dictionaries(
            st.text(max_size=8),
            st.sampled_from(["?", "i8", "u4", "f2", "f4", "f8"]).flatmap(
                lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
            ),
            max_size=3,
        )
    )
    def test_arrays_come_back_bit_for_bit(self, arrays):
        with tempfile.TemporaryDirectory() as folder:
            path = save_checkpoint(folder, step=1, epoch=1, arrays=arrays, metadata={})
            loaded = load_checkpoint(path).arrays
        self.assertEqual(list(loaded), list(arrays))
        for name, array in arrays.items():
            self.assertEqual((loaded[name].dtype, loaded[name].shape), (array.dtype, array.shape))
            self.assertEqual(loaded[name].tobytes(), array.tobytes())

    def test_every_accepted_dtype_comes_back(self):
        arrays = {name: np.arange(-3, 3).astype(np.dtype(name)) for name in checkpoint_files.DTYPES}
        arrays["transposed"] = np.arange(6.0).reshape(2, 3).T
        arrays["bfloat16 strided"] = np.arange(6).astype(ml_dtypes.bfloat16)[::2]
        arrays["bfloat16 scalar"] = np.array(0.3, ml_dtypes.bfloat16)
        loaded = load_checkpoint(
            save_checkpoint(self.folder, step=0, epoch=0, arrays=arrays, metadata={})
        ).arrays
        for name, array in arrays.items():
            self.assertEqual((loaded[name].dtype, loaded[name].shape), (array.dtype, array.shape), name)
            self.assertEqual(loaded[name].tobytes(), array.tobytes(), name)

    def test_other_dtypes_are_refused_and_nothing_is_left(self):
        for array in (np.array([{}]), np.array(["text"]), np.array([1j])):
            with self.assertRaisesRegex(ValueError, "'odd' has dtype .* accepted are bool"):
                save_checkpoint(self.folder, step=1, epoch=1, arrays={"odd": array}, metadata={})
        self.assertEqual(self.names(), [])

    def test_metadata_comes_back(self):
        metadata = {"wall_seconds": 0.1 + 0.2, "best": {"accuracy": float("nan"), "step": np.int64(3)}}
        path = save_checkpoint(self.folder, step=3, epoch=1.5, arrays={}, metadata=metadata)
        checkpoint = load_checkpoint(path)
        self.assertEqual(checkpoint.metadata["wall_seconds"], 0.1 + 0.2)
        self.assertEqual(checkpoint.metadata["best"], {"accuracy": "nan", "step": 3})
        self.assertEqual((checkpoint.step, checkpoint.epoch), (3, 1.5))

    def test_sha256sum_accepts_a_checkpoint_and_notices_a_change(self):
        (path,) = save(self.folder, 60)
        self.assertEqual(path, self.folder / "step-00000060")
        self.assertEqual(sorted(p.name for p in path.iterdir()), sorted(FILES))
        check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
        self.assertEqual(subprocess.run(check, cwd=path, capture_output=True).returncode, 0)
        (path / "manifest.json").write_text("{}")
        self.assertNotEqual(subprocess.run(check, cwd=path, capture_output=True).returncode, 0)

    def test_a_step_saved_again_is_replaced(self):
        save(self.folder, 1, 2)
        save_checkpoint(self.folder, step=2, epoch=1, arrays={"new": np.ones(2)}, metadata={})
        self.assertEqual(self.names(), ["step-00000001", "step-00000002"])
        self.assertEqual(list(load_checkpoint(self.folder / "step-00000002").arrays), ["new"])

    def test_a_negative_step_is_refused(self):
        with self.assertRaisesRegex(ValueError, "step is -1"):
            save(self.folder, -1)


FILE_DAMAGE = (truncate, zero, flip_a_bit, empty, Path.unlink)


def _rename_array(manifest: dict) -> None:
    manifest["arrays"][0]["dtype"] = "float64"


def _drop_description(manifest: dict) -> None:
    manifest["arrays"].pop()


MANIFEST_DAMAGE: dict[str, Callable[[dict], object]] = {
    **{
        f"has no valid '{field}'": lambda manifest, field=field: manifest.pop(field)
        for field in ("step", "epoch", "arrays", "metadata")
    },
    "format version is None": lambda manifest: manifest.pop("format_version"),
    "format version is 2": lambda manifest: manifest.update(format_version=2),
    "not float64 (3, 2)": _rename_array,
    "not float32 (2, 3)": lambda manifest: manifest["arrays"][0].update(shape=[2, 3]),
    "no valid description of array 0": lambda manifest: manifest["arrays"][0].update(dtype="object"),
    "no valid description of array 1": lambda manifest: manifest["arrays"][1].pop("name"),
    "does not hold the 1 arrays": _drop_description,
}


class DamageTest(CheckpointsTestCase):
    """Each kind of damage is refused alone, and passed over where there is an older checkpoint."""

    def setUp(self) -> None:
        super().setUp()
        self.older, self.damaged = save(self.folder, 40, 60)

    def renew(self) -> None:
        shutil.rmtree(self.damaged)
        save(self.folder, 60)

    def assert_passed_over(self, *parts: str) -> None:
        self.assert_user_error(lambda: load_checkpoint(self.damaged), str(self.damaged), *parts)
        before = contents(self.folder)
        checkpoint, lines = load_latest(self.folder)
        self.assertIsNotNone(checkpoint)
        self.assert_holds(checkpoint.path, 40)
        self.assertEqual(len(lines), 1)
        self.assertIn(str(self.damaged), lines[0])
        self.assertNotIn("\n", lines[0])
        self.assertEqual(contents(self.folder), before)

    def test_damaged_files(self):
        for name in FILES:
            for damage in FILE_DAMAGE:
                with self.subTest(file=name, damage=damage.__name__):
                    damage(self.damaged / name)
                    self.assert_passed_over(name if name != "SHA256SUMS" or damage is Path.unlink else "")
                    self.renew()

    def test_every_flipped_bit_of_the_arrays_is_noticed(self):
        file = self.damaged / "arrays.npz"
        content = file.read_bytes()
        for position in range(0, len(content), 37):
            changed = bytearray(content)
            changed[position] ^= 1 << position % 8
            file.write_bytes(changed)
            with self.assertRaises(UserError):
                load_checkpoint(self.damaged)

    def test_manifests_of_other_programs(self):
        for reason, change in MANIFEST_DAMAGE.items():
            with self.subTest(reason):
                change_manifest(self.damaged, change)
                self.assert_passed_over(reason)
                self.renew()

    def test_manifests_that_are_no_objects(self):
        for text in ("", "[]", "7", '{"step": '):
            with self.subTest(text):
                (self.damaged / "manifest.json").write_text(text)
                seal(self.damaged)
                self.assert_passed_over("cannot be used")

    def test_arrays_that_are_no_archive(self):
        (self.damaged / "arrays.npz").write_bytes(b"not a zip file")
        seal(self.damaged)
        self.assert_passed_over("zip")

    def test_pickled_arrays_are_not_executed(self):
        class Malicious:
            def __reduce__(self) -> tuple:
                return os.mkdir, (str(marker),)

        marker = self.folder / "executed"
        arrays = {"00000": np.array([Malicious()], dtype=object), "00001": np.array(60)}
        np.savez(self.damaged / "arrays.npz", **arrays)
        seal(self.damaged)
        self.assert_passed_over("allow_pickle=False")
        self.assertFalse(marker.exists())
        pickle.loads(pickle.dumps(Malicious()))
        self.assertTrue(marker.exists(), "the trap does not work")

    def test_a_missing_folder_is_named(self):
        self.assert_user_error(
            lambda: load_checkpoint(self.folder / "step-00000099"), "step-00000099", "missing"
        )

    def test_anempty_folder_is_passed_over(self):
        shutil.rmtree(self.damaged)
        self.damaged.mkdir()
        self.assert_passed_over("SHA256SUMS", "No such file")

    def test_extra_files_do_not_matter(self):
        (self.damaged / "notes.txt").write_text("mine")
        with (self.damaged / "SHA256SUMS").open("a") as file:
            file.write("0" * 64 + "  notes.txt\n")
        self.assert_holds(self.damaged, 60)

    def test_none_usable_is_refused_and_nothing_touched(self):
        flip_a_bit(self.older / "arrays.npz")
        truncate(self.damaged / "manifest.json")
        before = contents(self.folder)
        self.assert_user_error(
            lambda: load_latest(self.folder),
            "none of the 2 checkpoints",
            str(self.folder),
            "nothing was changed",
            "manifest.json does not match",
        )
        self.assertEqual(contents(self.folder), before)

    def test_saving_the_damaged_step_again_replaces_it(self):
        zero(self.damaged / "arrays.npz")
        save(self.folder, 60)
        self.assert_holds(self.damaged, 60)
        self.assertEqual(self.names(), ["step-00000040", "step-00000060"])


if __name__ == "__main__":
    unittest.main()
