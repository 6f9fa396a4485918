"""--suite=streaming: the set it makes, and a small run of it."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import tensorflow as tf

from tf_fullbatch.benchmark import streaming_suite
from tf_fullbatch.commands import benchmark
from tf_fullbatch.data.sources.image_layouts import layout_of


class StreamingSuiteTest(unittest.TestCase):
    def test_the_set(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            images, size = streaming_suite.made_set(Path(folder), 3_000_000, 2)
            classes = layout_of(Path(folder)).splits["train"]
            files = [files.folder / name for files in classes.values() for name in files.names]
            self.assertEqual(len(files), images)
            self.assertEqual(sum(path.stat().st_size for path in files), size)
            self.assertTrue(3_000_000 <= size < 3_200_000)
            self.assertLess(50_000, size / images)  # bytes of a photograph of that size
            self.assertEqual(tf.io.decode_jpeg(files[0].read_bytes()).shape, (375, 500, 3))

    def test_a_small_run(self) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
            flags = (
                "--suite=streaming --jpeg_megabytes=0.1 --model=linear --image_size=8 --micro_batch_size=4 --repeats=2 "
                f"--seconds=0 --json={folder}/found.json"
            )
            with mock.patch.object(
                streaming_suite.fresh_process, "call", side_effect=[{"peak": 7 * 2**20}, {"peak": 9 * 2**20}]
            ) as called:
                self.assertEqual(benchmark.main(["benchmark", *flags.split()]), 0)
            found = json.loads(Path(folder, "found.json").read_text())["streaming"]
        self.assertEqual((found["images"], found["growth"]), (32, 2 * 2**20))
        self.assertEqual([c.args[1]["images"] for c in called.call_args_list], [4, 32])
        self.assertEqual({side: len(s) for side, s in found["seconds"].items()}, {"streamed": 2, "loaded": 2})
        self.assertRegex(
            out.getvalue(), r"ratio.*wanted\s+growth of peak.*\n-.*\n.*<= 1.15 +2.* MiB +<= 300 MiB"
        )


if __name__ == "__main__":
    unittest.main()
