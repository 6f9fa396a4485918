"""--suite=augmentation: its arithmetic, and a small run."""

import contextlib
import io
import json

import pytest

from tf_fullbatch.benchmark import augmentation_suite, options
from tf_fullbatch.benchmark.comparisons import AUGMENTED
from tf_fullbatch.benchmark.device import Peaks
from tf_fullbatch.benchmark.timing import Timing
from tf_fullbatch.commands import benchmark
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.errors import UserError


def test_ratios_are_medians_over_rounds():
    def timings(*seconds):
        return [Timing(one, 2 * one, Peaks(0, None)) for one in seconds]

    steps = {"none": timings(2.0, 4.0, 5.0), "flip": timings(2.2, 4.4, 5.0)}
    alone = {"flip": timings(0.1, 0.1, 0.5)}
    (row,) = augmentation_suite.results({"flip": "flip"}, steps, alone, micro_batches=2)
    assert row["ratio"] == pytest.approx(1.1)
    assert row["alone_ratio"] == pytest.approx(1.1)
    assert (row["seconds"], row["alone_seconds"], row["wanted"]) == (4.4, 0.1, 1.1)


def test_every_row_is_an_augmentation():
    for text in AUGMENTED.values():
        assert StepConfig.of(augmentation=text).build_augmentation((32, 32, 3), "uint8") is not None


def test_a_small_run(tmp_path):
    file = tmp_path / "figures.json"
    flags = [
        "--model=linear",
        "--image_size=8",
        "--samples=10",
        "--micro_batch_size=4",
        "--repeats=1",
        "--seconds=0",
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        rows = "--rows=crop_flip,mixup"
        code = benchmark.main(["benchmark", "--suite=augmentation", rows, *flags, f"--json={file}"])
    assert code == 0
    found = json.loads(file.read_text())["augmentation"]
    assert [row["name"] for row in found] == ["crop_flip", "mixup"]
    assert all(row["seconds"] > 0 and row["alone_ratio"] > 1 for row in found)
    assert "crop4,flip" in out.getvalue()


def test_refused_rows():
    with pytest.raises(UserError, match="--rows=crop: accepted are crop_flip"):
        options.parse(["benchmark", "--suite=augmentation", "--rows=crop"])
