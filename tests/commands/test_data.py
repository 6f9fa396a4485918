"""The command `python -m tf_fullbatch.data`."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_fullbatch.commands import data
from tf_fullbatch.core.copies import copies_at_once, ids_of_copies
from tf_fullbatch.data.augment.lists import augmentation_list
from tf_fullbatch.data.controls.labels import noisy_labels
from tf_fullbatch.data.controls.pixels import shuffled_pixels
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


@pytest.fixture
def sheets(monkeypatch):
    """(sheet, title) of all that are drawn."""
    found = []
    monkeypatch.setattr(
        "tf_fullbatch.display.contact_sheet.draw_contact_sheet",
        lambda sheet, title: found.append((sheet, title)) or draw_contact_sheet(sheet, title),
    )
    return found


def test_counts_and_the_sheet(npz, tmp_path, capsys, sheets):
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
    assert title == "--augmentation=alternating_flip"
    assert sheet.labels == [f"class {k}, sample {i}" for k, i in ((0, 0), (1, 3), (2, 5), (0, 1), (1, 4))]
    assert sheet.titles == ["as it is", "epoch 0", "epoch 1"]
    originals = IMAGES[[0, 3, 5, 1, 4]]
    np.testing.assert_array_equal(sheet.images[:, 0], originals)
    flipped = originals[:, :, ::-1]
    for row in range(5):
        sides = [originals[row].tolist(), flipped[row].tolist()]
        assert sorted(sides) == sorted(sheet.images[row, 1:].tolist())
    assert Image.open(picture).size[0] > 100


def test_the_copies_of_a_fixed_set(npz, tmp_path, capsys, sheets):
    flags = (f"--dataset={npz}", "--augmentation=crop2", "--samples=4", f"--output={tmp_path / 'a.png'}")
    assert run(*flags, "--augment_copies=3") == 0
    assert "as they are and in 3 copies" in capsys.readouterr().out
    assert run(*flags, "--augment_copies=3", "--epochs=2") == 0
    (sheet, _), (fewer, _) = sheets
    assert sheet.titles == ["as it is", "copy 0", "copy 1", "copy 2"]
    assert fewer.titles == sheet.titles[:3]
    assert not sheet.has_notes
    chosen = np.array([0, 3, 5, 1])
    made = copies_at_once(augmentation_list("crop2").build(seed=0))
    for copy in range(3):
        ids = ids_of_copies(tf.constant(chosen), copy)
        expected = made(tf.constant(IMAGES[chosen]), ids, tf.constant(0, tf.int64))
        np.testing.assert_array_equal(sheet.images[:, copy + 1], expected)


@pytest.mark.parametrize("mixing", ["mixup(alpha=1)", "cutmix"])
def test_the_share_of_the_other_sample(mixing, tmp_path, sheets):
    # Samples of class 1 are white, others black: a mixed pixel's level is the share of white.
    white = np.repeat(np.array([0, 255], np.uint8), 5)[:, None, None, None]
    images = np.broadcast_to(white, (10, 20, 20, 1))
    np.savez(tmp_path / "a.npz", inputs=images, targets=np.repeat([0, 1], 5))
    flags = (f"--dataset={tmp_path / 'a.npz'}", f"--augmentation={mixing}", f"--output={tmp_path / 'a.png'}")
    assert run(*flags, "--samples=10", "--epochs=2") == 0
    ((sheet, _),) = sheets
    mixed = 0
    for row, label in enumerate(sheet.labels):
        assert sheet.notes[row][0] == ""
        own = 255.0 * ("class 1" in label)
        for column in (1, 2):
            other = abs(sheet.images[row, column].mean() - own) / 255
            said = int(sheet.notes[row][column].removesuffix("% of another")) / 100
            if other > 0.01:  # the partner was of the other class
                assert said == pytest.approx(other, abs=0.01)
                mixed += 1
    assert mixed >= 3


def test_changed_labels_are_counted_and_told(npz, tmp_path, capsys, sheets):
    flags = (f"--dataset={npz}", f"--output={tmp_path / 'a.png'}", "--epochs=0", "--seed=3")
    assert run(*flags, "--label_noise=0.5", "--label_noise_convention=other") == 0
    out = capsys.readouterr().out
    ids = np.arange(10)
    noisy = noisy_labels(LABELS, ids, 3, seed=3, probability=0.5, convention="other")
    changed = noisy != LABELS
    assert 2 <= changed.sum() <= 8
    of_class = [
        [str(k), *(str((of == k).sum()) for of in (noisy, LABELS[2:5], noisy[changed], LABELS[changed]))]
        for k in range(3)
    ]
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["class", "train", "test", "noisy_labels", "clean_labels"]
    assert rows[2:5] == of_class
    assert f"; {changed.sum()} of 10 training labels are others now" in out.splitlines()[6]
    ((sheet, title),) = sheets
    assert title == "--augmentation=none --label_noise=0.5 --label_noise_convention=other"
    for label in sheet.labels:
        sample = int(label.split()[-1])
        was = f" (was {LABELS[sample]})" if changed[sample] else ""
        assert label == f"class {noisy[sample]}{was}, sample {sample}"


def test_shuffled_pixels_and_copies_are_drawn(npz, tmp_path, capsys, sheets):
    flags = (f"--dataset={npz}", f"--output={tmp_path / 'a.png'}", "--epochs=1", "--samples=20")
    assert run(*flags, "--pixel_shuffle=fixed", "--duplicate=4", "--leave_out=7-9") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-4:-1] == [
        "3 training samples left out",
        "pixels shuffled by one permutation",
        "4 training samples twice",
    ]
    ((sheet, _),) = sheets
    assert len(sheet.labels) == 11
    assert sum(label.endswith("again") for label in sheet.labels) == 4
    shuffled = shuffled_pixels(IMAGES, np.arange(10), seed=0, kind="fixed", split="train")
    for row, label in enumerate(sheet.labels):
        sample = int(label.removesuffix(" again").split()[-1])
        for column in range(2):
            np.testing.assert_array_equal(sheet.images[row, column], shuffled[sample])


def test_gaussian_inputs_are_counted_alone(npz, tmp_path, capsys):
    flags = (f"--dataset={npz}", f"--output={tmp_path / 'a.png'}", "--gaussian_inputs")
    assert run(*flags) == 2
    assert "--gaussian_inputs makes numbers of pixels, no images: give --nosheet" in capsys.readouterr().err
    assert run(*flags, "--nosheet") == 0
    assert "inputs are Gaussian numbers" in capsys.readouterr().out


def test_classes_by_their_names(tmp_path, capsys, sheets):
    for name, i in (("dog", 0), ("cat", 1), ("dog", 2)):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[i]).save(tmp_path / "set" / name / f"{i}.png")
    assert run(f"--dataset={tmp_path / 'set'}/", f"--output={tmp_path / 'a.png'}", "--epochs=0") == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[2:5]] == [
        ["0", "cat", "1"], ["1", "dog", "2"], ["all", "3"],
    ]  # fmt: skip
    ((sheet, _),) = sheets
    assert sheet.labels == ["class 0 cat, sample 0", "class 1 dog, sample 1", "class 1 dog, sample 2"]


def test_images_that_stream_as_they_are_and_as_they_are_cropped(tmp_path, sheets):
    for name, i in (("cat", 1), ("dog", 0), ("dog", 2)):
        (tmp_path / "set" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGES[i]).save(tmp_path / "set" / name / f"{i}.png")
    flags = (f"--dataset={tmp_path / 'set'}/", "--epochs=2", f"--output={tmp_path / 'a.png'}")
    assert run(*flags, "--stream_images=on") == 0
    assert run(*flags, "--random_resized_crop", "--image_size=6") == 0
    (plain, _), (cropped, _) = sheets
    expected = np.stack([IMAGES[[1, 0, 2]]] * 3, 1)
    np.testing.assert_array_equal(plain.images, expected)
    np.testing.assert_array_equal(cropped.images[:, 0], expected[:, 0])
    assert len({column.tobytes() for column in np.moveaxis(cropped.images, 1, 0)}) == 3


def test_notes_stand_above_their_images():
    sheet = ContactSheet(
        np.zeros((2, 2, 10, 10, 1), np.uint8), ["a", "b"], ["x", "y"], [["", "p"], ["", "q"]]
    )
    axes = draw_contact_sheet(sheet, "mixup").axes[0]
    (canvas,) = [image.get_array() for image in axes.get_images()]
    assert canvas.shape == (22, 22, 3)
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["p"][0] == places["q"][0] == 12
    assert (places["q"][1], places["p"][1]) == (pytest.approx(11.3), pytest.approx(-0.7))


def test_the_pixels_that_are_drawn():
    images = np.full((2, 3, 4, 4, 3), 200, np.uint8)
    images[1, 2] = [255, 0, 0]
    figure = draw_contact_sheet(ContactSheet(images, ["a", "b"], ["x", "y", "z"]), "of nothing")
    assert figure.get_suptitle() == "of nothing"
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
        (("--output=a.gif",), "--output=a.gif: the sheet is a PNG; give a name that ends in .png"),
        (("--augment_copies=2",), "--augment_copies=2 without --augmentation: all copies would be the same"),
        (("--random_labels", "--label_noise=0.1"), "--random_labels with --label_noise=0.1"),
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
    two_channels = np.zeros((4, 3, 3, 2), np.uint8)
    np.savez(tmp_path / "b.npz", inputs=two_channels, targets=np.array([0, 1, 0, 1]))
    assert run(f"--dataset={tmp_path / 'b.npz'}") == 2
    assert "has images of 2 channels, and a sheet shows 1 or 3" in capsys.readouterr().err


def test_help_names_every_flag(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for field in dataclasses.fields(data.Options):
        assert f"  --{field.name}=(" in out
    assert "--augmentation=(" in out
