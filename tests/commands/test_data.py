"""The command `python -m tf_fullbatch.data`."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tf_fullbatch.commands import data
from tf_fullbatch.display.contact_sheet import ContactSheet, draw_contact_sheet

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 1])


@pytest.fixture
def npz(tmp_path):
    np.savez(
        tmp_path / "set.npz",
        train_inputs=IMAGES,
        train_targets=LABELS,
        test_inputs=IMAGES[:3],
        test_targets=LABELS[2:5],
    )
    return tmp_path / "set.npz"


def run(*arguments):
    return data.main(["data", *map(str, arguments)])


def test_counts_and_the_sheet(npz, tmp_path, capsys, monkeypatch):
    sheets = []
    monkeypatch.setattr(
        "tf_fullbatch.display.contact_sheet.draw_contact_sheet",
        lambda sheet, title: sheets.append((sheet, title)) or draw_contact_sheet(sheet, title),
    )
    picture = tmp_path / "sheet.png"
    flags = (
        f"--dataset={npz}",
        "--augmentation=alternating_flip",
        f"--output={picture}",
        "--samples=5",
        "--epochs=2",
    )
    assert run(*flags) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[:6] if line[0] != "-"] == [
        ["class", "train", "test"], ["0", "3", "1"], ["1", "3", "2"], ["2", "4", "0"], ["all", "10", "3"],
    ]  # fmt: skip
    ((sheet, title),) = sheets
    assert title == "alternating_flip"
    assert sheet.labels == [f"class {k}, sample {i}" for k, i in ((0, 0), (1, 3), (2, 5), (0, 1), (1, 4))]
    assert sheet.titles == ["as it is", "epoch 0", "epoch 1"]
    originals = IMAGES[[0, 3, 5, 1, 4]]
    np.testing.assert_array_equal(sheet.images[:, 0], originals)
    flipped = originals[:, :, ::-1]
    for row in range(5):
        sides = [originals[row].tolist(), flipped[row].tolist()]
        assert sorted(sides) == sorted(sheet.images[row, 1:].tolist())
    assert Image.open(picture).size[0] > 100


def test_the_pixels_that_are_drawn():
    images = np.full((2, 3, 4, 4, 3), 200, np.uint8)
    images[1, 2] = [255, 0, 0]
    figure = draw_contact_sheet(ContactSheet(images, ["a", "b"], ["x", "y", "z"]), "none")
    (canvas,) = [image.get_array() for image in figure.axes[0].get_images()]
    assert canvas.shape == (9, 14, 3)
    assert (canvas[5:, 10:] == [255, 0, 0]).all()
    assert (canvas[4] == 255).all()
    assert (canvas == 200).all(-1).sum() == 5 * 16


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ("--augmentation=cutout9",),
            "--augmentation=cutout9: cutout cuts out 9x9 pixels, but these images are 6x6",
        ),
        (
            ("--augmentation=cutuot",),
            "--augmentation=cutuot: there is no such augmentation; did you mean cutout?",
        ),
        (("--output=/no/such/a.png",), "--output=/no/such/a.png: there is no folder /no/such"),
        (("--samples=0",), "--samples=0: must be at least 1"),
        (("--epochs_=1",), "--help lists all flags"),
    ],
)
def test_refusals(flags, words, npz, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(f"--dataset={npz}", *flags) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.png"))


def test_what_is_no_image(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", inputs=np.zeros((4, 3), np.float32), targets=np.array([0, 1, 0, 1]))
    assert run(f"--dataset={tmp_path / 'a.npz'}", "--nosheet") == 0
    assert run(f"--dataset={tmp_path / 'a.npz'}") == 2
    assert "give --nosheet" in capsys.readouterr().err


def test_help_names_every_flag(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for field in dataclasses.fields(data.Options):
        assert f"  --{field.name}=(" in out
    assert "--augmentation=(" in out
