"""Images that stay in their files: the same pixels, in every chunk, order and number of replicas."""

import re
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image

from tests.data.numbered import Replicas
from tf_fullbatch.data import statistics_cache
from tf_fullbatch.data.batches import UpdateBatches
from tf_fullbatch.data.encoded import Crops, EncodedImages
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.resident import ResidentSource, fits
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources import pixels
from tf_fullbatch.data.sources.decoding import decoder
from tf_fullbatch.data.sources.image_reading import FileReader
from tf_fullbatch.data.stream import StreamSource
from tf_fullbatch.errors import UserError

IMAGES = 11


def made(seed: int, height: int = 20, width: int = 27) -> np.ndarray:
    """A picture with edges and slopes, uint8 `[height, width, 3]`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


class FolderTestCase(parameterized.TestCase, tf.test.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "images"
        for split, count in (("train", IMAGES), ("val", 3)):
            for i in range(count):
                path = self.folder / split / "ab"[i % 2] / f"{i:02d}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tf.io.encode_jpeg(made(i, 20 + i, 27 - i)).numpy())

    def load(self, **settings: Any) -> Any:
        return DataConfig.of(dataset=f"{self.folder}/", **{"image_size": 8} | settings).load()


class ReadingTest(FolderTestCase):
    @parameterized.parameters(8, 10, 40)
    def test_streamed_and_loaded_are_the_same_pixels(self, size: int) -> None:
        for more in ({}, {"shorter_side": size + 3}):
            loaded = self.load(image_size=size, stream_images="off", **more)
            found = self.load(image_size=size, stream_images="on", **more)
            self.assertIsInstance(loaded.train.inputs, np.ndarray)
            self.assertIsInstance(found.train.inputs, EncodedImages)
            for split in ("train", "validation"):
                here, there = getattr(found, split), getattr(loaded, split)
                self.assertAllEqual(here.inputs[:], there.inputs)
                self.assertAllEqual(here.targets, there.targets)
                self.assertTrue(here.are_images)

    def test_rows(self) -> None:
        whole = self.load(stream_images="off").train.inputs
        images = self.load(stream_images="on").train.inputs
        self.assertEqual(
            (images.shape, images.dtype, images.nbytes), (whole.shape, whole.dtype, whole.nbytes)
        )
        rows = np.array([7, 0, 7, 3])
        self.assertAllEqual(images[rows], whole[rows])
        self.assertAllEqual(images[2:9:3], whole[2:9:3])
        self.assertAllEqual(images[-1], whole[-1])
        self.assertAllEqual(images.select(rows)[1:], whole[rows][1:])
        with self.assertRaisesRegex(TypeError, "are decoded by rows"):
            np.asarray(images)

    def test_those_too_large_for_memory_stream(self) -> None:
        loaded = self.load()
        self.assertIsInstance(loaded.train.inputs, np.ndarray)
        memory = mock.Mock(available=2 * (IMAGES + 3) * 8 * 8 * 3 - 1)
        with mock.patch("psutil.virtual_memory", return_value=memory):
            self.assertIsInstance(self.load().train.inputs, EncodedImages)

    def test_statistics_are_of_every_pixel_and_kept_where_images_are_many(self) -> None:
        whole = self.load(stream_images="off").train.inputs
        images = self.load(stream_images="on").train.inputs
        self.enterContext(mock.patch.dict("os.environ", {"XDG_CACHE_HOME": str(self.folder.parent)}))
        self.assertAllEqual(input_statistics(images), input_statistics(whole))
        self.assertFalse(statistics_cache.cache_folder().exists())
        self.enterContext(mock.patch.object(statistics_cache, "KEPT_FROM", 5))
        self.assertAllEqual(input_statistics(images), input_statistics(whole))
        (kept,) = statistics_cache.cache_folder().iterdir()
        with mock.patch.object(EncodedImages, "decoded", side_effect=AssertionError):
            self.assertAllEqual(input_statistics(images), input_statistics(whole))
        kept.write_text(kept.read_text().replace("0.", "0.1", 1))
        self.assertAllEqual(input_statistics(images), input_statistics(whole))  # its checksum does not fit
        other = self.load(stream_images="on", image_size=9).train.inputs
        self.assertNotEqual(images.fingerprint(), other.fingerprint())
        self.assertNotEqual(images.fingerprint(), images.select(np.arange(5)).fingerprint())

    def test_statistics_follow_an_image_that_is_exchanged_for_one_of_its_size(self) -> None:
        for i in range(IMAGES):
            path = self.folder / "train" / "ab"[i % 2] / f"{i:02d}.JPEG"
            path.unlink()
            Image.fromarray(made(i)).save(path.with_suffix(".bmp"))
        self.enterContext(mock.patch.dict("os.environ", {"XDG_CACHE_HOME": str(self.folder.parent)}))
        self.enterContext(mock.patch.object(statistics_cache, "KEPT_FROM", 5))
        before = input_statistics(self.load(stream_images="on").train.inputs)
        exchanged = self.folder / "train" / "b" / "07.bmp"
        size = exchanged.stat().st_size
        Image.fromarray(255 - made(7)).save(exchanged)
        self.assertEqual(exchanged.stat().st_size, size)
        after = input_statistics(self.load(stream_images="on").train.inputs)
        self.assertAllEqual(after, input_statistics(self.load(stream_images="off").train.inputs))
        self.assertNotAllEqual(after, before)

    def test_settings_that_do_not_fit(self) -> None:
        for settings, words in (
            ({"shorter_side": 7}, "--shorter_side=7 is for an --image_size of at most that, but it is 8"),
            ({"shorter_side": 7, "image_size": None}, "but it is unset"),
            ({"random_resized_crop": True, "image_size": None}, "give --image_size"),
            ({"random_resized_crop": True, "stream_images": "off"}, "no --stream_images=off"),
        ):
            with self.assertRaisesRegex(UserError, words):
                self.load(**settings)


class RowsTest(FolderTestCase):
    """Rows decoded by one call: as one by one, in any number, and what does not decode is named."""

    def path(self, number: int) -> Path:
        """Of the image that has the number among those to train on: class a has the even ones, b the odd."""
        of_a = -(-IMAGES // 2)
        name, index = ("a", 2 * number) if number < of_a else ("b", 2 * (number - of_a) + 1)
        return self.folder / "train" / name / f"{index:02d}.JPEG"

    def images(self, **settings: Any) -> EncodedImages:
        return self.load(stream_images="on", **settings).train.inputs

    def alone(self, number: int) -> tf.Tensor:
        encoded = self.path(number).read_bytes()
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)

    def test_pixels_are_those_of_each_image_alone(self) -> None:
        rows = np.array([4, 0, 9, 9, 2])
        crops = Crops(rows, seed=3, epoch=5)
        random = self.images(random_resized_crop=True)
        draws = FileReader.draws(None, *crops)
        self.assertEqual(draws.shape, (5, 40))
        for images, alone in (
            (self.images(), lambda image, _: pixels.resize_square(image, 8)),
            (self.images(shorter_side=9), lambda image, _: pixels.resize_and_crop(image, 8, 9)),
            (random, lambda image, draws: pixels.random_resized_crop(image, 8, tf.constant(draws))),
        ):
            expected = [
                alone(self.alone(number), bits).numpy() for number, bits in zip(rows, draws, strict=True)
            ]
            self.assertAllEqual(images.decoded(rows, crops), expected)
        for number in range(IMAGES):
            self.path(number).write_bytes(tf.io.encode_png(made(number)).numpy())
        native = self.images(image_size=None)
        self.assertAllEqual(native[rows], [made(number) for number in rows])
        self.assertEqual(native[:0].shape, (0, 20, 27, 3))

    def test_no_number_of_rows_is_traced_anew(self) -> None:
        images = self.images()
        decode = decoder(8, None, False)
        before = decode.experimental_get_tracing_count()
        for count in (*range(1, 30), 200):
            self.assertEqual(images[np.zeros(count, int)].shape, (count, 8, 8, 3))
        self.assertEqual(before, decode.experimental_get_tracing_count())
        self.assertEqual(1, before)

    def test_threads_of_its_own_as_many_as_the_cores_that_the_process_may_use(self) -> None:
        decoder.cache_clear()
        self.addCleanup(decoder.cache_clear)
        with mock.patch("tf_fullbatch.processor.cores", return_value=3):
            decode = decoder(8, None, False)
        (element,) = (
            operation
            for operation in decode.get_concrete_function().graph.get_operations()
            if operation.type == "DatasetToSingleElement"
        )
        pool = element.inputs[0].op
        self.assertEqual("ThreadPoolDataset", pool.type)
        self.assertEqual(3, pool.inputs[1].op.get_attr("num_threads"))

    def test_the_first_that_does_not_decode_is_named(self) -> None:
        images, rows = self.images(), np.arange(IMAGES)
        whole = {number: self.path(number).read_bytes() for number in (8, 5)}
        for spoil in (
            lambda path: path.write_bytes(b"no image"),
            lambda path: path.write_bytes(path.read_bytes()[:-100]),
            lambda path: path.unlink(),
            lambda path: (path.unlink(), path.symlink_to(path)),
        ):
            for number in whole:  # first that in the midst, then an earlier one, too
                spoil(self.path(number))
                words = f"{re.escape(str(self.path(number)))} does not decode as an image: mend it"
                with self.assertRaisesRegex(UserError, words) as caught:
                    images.decoded(rows)
                self.assertNotIn("\n", str(caught.exception))
            self.assertLen(images[:5], 5)
            for number, encoded in whole.items():
                self.path(number).unlink(missing_ok=True)
                self.path(number).write_bytes(encoded)

    def test_the_two_of_different_sizes_are_named(self) -> None:
        for number in range(IMAGES):
            self.path(number).write_bytes(tf.io.encode_png(made(number)).numpy())
        images = self.images(image_size=None)
        for number in (7, 4):
            self.path(number).write_bytes(tf.io.encode_png(made(number, 21)).numpy())
            first, other = self.path(0).name, self.path(number).name
            for rows in (np.arange(IMAGES), np.array([number])):
                with self.assertRaisesRegex(UserError, f"{first} has 20x27, {other} has 21x27"):
                    images.decoded(rows)

    def test_names_that_are_not_of_utf_8(self) -> None:
        before = self.images()[:]
        for path in (self.path(4), self.path(5)):
            path.rename(f"{path.with_suffix('')}\udce9.JPEG")
        images = self.images()
        self.assertAllEqual(images[:], before)
        Path(f"{self.path(4).with_suffix('')}\udce9.JPEG").unlink()
        with self.assertRaisesRegex(UserError, r"08\\udce9.JPEG does not decode"):
            images.decoded(np.arange(IMAGES))

    def test_a_folder_beyond_a_link(self) -> None:
        expected = self.images()[:]
        elsewhere = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (elsewhere / "link").symlink_to(self.folder / "train")
        found = DataConfig.of(dataset=f"{elsewhere}/link/../", image_size=8, stream_images="on").load()
        self.assertAllEqual(found.train.inputs[:], expected)


class PreprocessingTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.parameters((60, 90), (75, 50), (64, 64), (31, 100))
    def test_the_shorter_side_then_the_centre_as_pillow_has_it(self, height: int, width: int) -> None:
        image, size, shorter = made(3, height, width), 28, 32
        found = pixels.resize_and_crop(tf.constant(image), size, shorter).numpy().astype(int)
        sides = (shorter * height // min(height, width), shorter * width // min(height, width))
        resized = Image.fromarray(image).resize(sides[::-1], Image.Resampling.BILINEAR)
        row, column = (sides[0] - size) // 2, (sides[1] - size) // 2
        expected = np.asarray(resized).astype(int)[row : row + size, column : column + size]
        # Pillow rounds to whole values between rows and columns.
        self.assertLessEqual(np.abs(found - expected).max(), 2)
        self.assertLess(np.abs(found - expected).mean(), 0.35)

    @parameterized.parameters((60, 90, 16), (20, 24, 40), (9, 80, 16))
    def test_a_random_crop_is_its_window_resized_as_pillow_has_it(
        self, height: int, width: int, size: int
    ) -> None:
        rng, image = np.random.default_rng(height), made(4, height, width)
        for _ in range(5):
            draws = rng.integers(0, 2**32, 40, dtype=np.uint32)
            (row, column, rows, columns), _ = window(height, width, draws)
            part = Image.fromarray(image[row : row + rows, column : column + columns])
            expected = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR)).astype(int)
            found = (
                pixels.random_resized_crop(tf.constant(image), size, tf.constant(draws)).numpy().astype(int)
            )
            # Pillow rounds to whole values between rows and columns.
            self.assertLessEqual(np.abs(found - expected).max(), 2)

    def test_a_window_by_numpy(self) -> None:
        rng = np.random.default_rng(0)
        sizes, fallbacks = [(50, 70), (70, 50), (10, 90), (90, 10), (1, 1)], 0
        for trial in range(200):
            height, width = sizes[trial % 5]
            draws = rng.integers(0, 2**32, 40, dtype=np.uint32)
            expected, fell_back = window(height, width, draws)
            found = [int(x) for x in pixels.crop_window(tf.constant([height, width]), tf.constant(draws))]
            self.assertEqual(found, expected)
            fallbacks += fell_back
        self.assertBetween(fallbacks, 10, 150)  # both ways were gone

    def test_the_distribution(self) -> None:
        rng = np.random.default_rng(1)
        draws = rng.integers(0, 2**32, (3000, 40), dtype=np.uint32)
        shape = tf.constant([400, 400])
        found = np.array(
            tf.vectorized_map(lambda d: tf.stack(pixels.crop_window(shape, d)), tf.constant(draws))
        )
        _, _, heights, widths = found.T
        self.assertTrue(((found[:, 0] + heights <= 400) & (found[:, 1] + widths <= 400)).all())
        ratio, area = widths / heights, widths * heights / 400**2
        self.assertBetween(ratio.min(), 0.745, 0.76)
        self.assertBetween(ratio.max(), 1.32, 1.345)
        self.assertBetween(area.min(), 0.079, 0.09)
        # An area a of a square fits where |log r| <= -log a: with probability min(1, log a / log 3/4).
        areas = np.linspace(0.08, 1, 100_001)
        chances = np.minimum(1, np.log(areas) / np.log(3 / 4))
        mean = (areas * chances).sum() / chances.sum()
        self.assertLess(abs(area.mean() - mean), 4 * area.std() / np.sqrt(3000))  # four standard errors
        self.assertLess(abs(np.log(ratio).mean()), 0.01)


def window(height: int, width: int, draws: np.ndarray) -> tuple[list[int], bool]:
    """[row, column, height, width] of the crop, and whether no try fitted."""
    uniforms = (draws.reshape(10, 4).astype(np.float64) + 0.5) / 2**32
    for area_share, ratio_place, row_place, column_place in uniforms:
        area = height * width * (0.08 + 0.92 * area_share)
        ratio = np.exp(np.log(3 / 4) + (np.log(4 / 3) - np.log(3 / 4)) * ratio_place)
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return [int(row_place * (height - h + 1)), int(column_place * (width - w + 1)), h, w], False
    w, h = min(width, round(height * 4 / 3)), min(height, round(width / (3 / 4)))
    return [(height - h) // 2, (width - w) // 2, h, w], True


class StreamingTest(FolderTestCase):
    def batches(self, **settings: Any) -> UpdateBatches:
        crop = settings.pop("random_resized_crop", False)
        stream = settings.pop("stream_images", "on")
        train = self.load(stream_images=stream, random_resized_crop=crop).train
        return UpdateBatches(train.inputs, train.targets, sample_ids=train.sample_ids, **settings)

    def passed(self, data: UpdateBatches, replicas: int, micro: int, epoch: int, step: int = 0) -> dict:
        """Sample id -> its pixels, of one epoch from a step on, over the chunks of all replicas."""
        source = StreamSource(data, micro, Replicas(replicas))
        steps = range(step, source.plan.steps_per_epoch)
        count = replicas * sum(-(-source.plan.rounds(s) // source.chunk) for s in steps)
        found = {}
        dataset = source.dataset(range(replicas), epoch, step)
        for images, targets, ids, *_ in dataset.take(count).as_numpy_iterator():
            for image, target, number in zip(images, targets, ids, strict=True):
                self.assertNotIn(int(number), found)
                self.assertEqual(target, data.targets[number])
                found[int(number)] = image.tobytes()
        return found

    def test_every_sample_once_whatever_the_cut(self) -> None:
        whole = self.load(stream_images="off").train.inputs
        expected = {i: image.tobytes() for i, image in enumerate(whole)}
        for replicas, micro, chunk in ((1, 4, 1), (2, 2, 3), (3, 3, None)):
            for more in ({}, {"shuffle": True, "batch_size": 4, "seed": 5}):
                data = self.batches(chunk_micro_batches=chunk, **more)
                self.assertEqual(self.passed(data, replicas, micro, epoch=2), expected)

    def test_random_crops_follow_seed_epoch_and_sample_alone(self) -> None:
        plain = self.passed(self.batches(), 1, 4, 0)
        first = self.passed(self.batches(random_resized_crop=True, seed=3), 1, 4, 0)
        self.assertGreaterEqual(sum(first[i] != plain[i] for i in plain), IMAGES - 1)
        shuffled = {"random_resized_crop": True, "shuffle": True, "batch_size": 4, "chunk_micro_batches": 2}
        for replicas, micro in ((1, 11), (2, 3)):
            self.assertEqual(self.passed(self.batches(**shuffled, seed=3), replicas, micro, 0), first)
        later = self.passed(self.batches(**shuffled, seed=3), 2, 3, 1)
        other = self.passed(self.batches(**shuffled, seed=4), 2, 3, 0)
        for changed in (later, other):
            self.assertGreaterEqual(sum(changed[i] != first[i] for i in first), IMAGES - 1)
        # A run that goes on within the epoch sees what the one before would have seen.
        rest = self.passed(self.batches(**shuffled, seed=3), 2, 3, 1, step=2)
        self.assertLen(rest, IMAGES - 8)
        self.assertEqual(rest, {i: later[i] for i in rest})

    def test_a_duplicate_has_crops_of_its_own(self) -> None:
        train = self.load(stream_images="on", random_resized_crop=True).train
        inputs, targets = train.inputs.select(np.array([2, 2])), train.targets[[2, 2]]
        twice = UpdateBatches(inputs, targets, sample_ids=np.array([2, 2**40]), seed=3)
        original, duplicate = twice.select_rows(np.arange(2), 0).inputs
        self.assertEqual(
            original.tobytes(), self.passed(self.batches(random_resized_crop=True, seed=3), 1, 4, 0)[2]
        )
        self.assertNotAllEqual(original, duplicate)

    def test_a_second_epoch_of_a_fixed_order_has_its_own_crops(self) -> None:
        data = self.batches(random_resized_crop=True, seed=3)
        source = StreamSource(data, 11, tf.distribute.get_strategy())

        def images(epoch: int) -> np.ndarray:
            ((chunk, _),) = source.calls(epoch, 0)
            return chunk[0].numpy()

        found = [images(epoch) for epoch in (0, 1, 1, 0)]
        self.assertNotAllEqual(found[0], found[1])
        self.assertAllEqual(found[1], found[2])
        self.assertAllEqual(found[0], found[3])

    def test_validation_and_held_out_samples_are_not_cropped_at_random(self) -> None:
        found = self.load(random_resized_crop=True)
        self.assertTrue(found.train.inputs.random_crops)
        self.assertFalse(found.validation.inputs.random_crops)
        self.assertFalse(found.train.to_evaluate.inputs.random_crops)
        self.assertAllEqual(found.train.inputs[:], self.load().train.inputs)

    def test_resident_where_it_is_asked_for_and_fits(self) -> None:
        loaded = self.batches(stream_images="off")
        self.assertTrue(fits(loaded))
        self.assertFalse(fits(self.batches()))
        asked = self.batches(on_device=True)
        self.assertTrue(fits(asked))
        held = ResidentSource(asked, 4, tf.distribute.get_strategy()).held.rows.inputs
        self.assertAllEqual(held, loaded.inputs)
        with (
            mock.patch("tf_fullbatch.data.resident.device_memory", return_value=100),
            self.assertRaisesRegex(UserError, "--data_on_device=on: the decoded images take"),
        ):
            fits(asked)
        with self.assertRaisesRegex(UserError, "--data_on_device=on with --random_resized_crop"):
            fits(self.batches(on_device=True, random_resized_crop=True))

    def test_an_image_that_does_not_decode_is_named_in_the_midst_of_a_pass(self) -> None:
        data = self.batches(chunk_micro_batches=1)
        (self.folder / "train" / "b" / "07.JPEG").write_bytes(b"no image")
        source = StreamSource(data, 2, tf.distribute.get_strategy())
        with self.assertRaisesRegex(UserError, "train/b/07.JPEG does not decode as an image") as caught:
            list(source.calls(0, 0))
        self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    tf.test.main()
