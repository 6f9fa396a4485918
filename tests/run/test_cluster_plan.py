"""`--dry_run --cluster`: what is printed for a flagfile, without the data where their sizes are known."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np
import psutil

from tests.command import CommandTestCase, command
from tf_fullbatch.config.run import Config
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.data.input_statistics import input_statistics
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.data.sources import tfds_builder
from tf_fullbatch.errors import UserError
from tf_fullbatch.run.splits import blank_splits

TINY = ("--model=resnet_tiny", "--dry_run", "--clip_norm=0.25")


class ClusterPlanTest(CommandTestCase):
    draws_curves = False

    def rows(self, *flags: str) -> dict[str, str]:
        """First word of a line after the plan -> the line."""
        out = self.assert_done(command(*TINY, *flags)).out
        return {line.split()[0]: line for line in out.split("\n\n", 2)[2].splitlines() if line}

    def test_without_the_data(self) -> None:
        flags = ("--dataset=cifar10", "--micro_batch_size=128", "--cluster=64x8:h100")
        with mock.patch.object(tfds_builder, "open_builder", side_effect=AssertionError("it was opened")):
            out = self.assert_done(command(*TINY, *flags)).out
        self.assertIn("50,000 training, 10,000 test; known sizes, nothing was loaded", out)
        self.assertIn(
            "391, one per micro-batch of a step (50,000 samples / 128); 121 of 512 have nothing to do", out
        )
        for name in ("1 (1x1)", "8 (1x8)", "64 (8x8)", "512 (64x8)"):
            self.assertRegex(out, rf"(?m)^{name.replace('(', '.').replace(')', '.')} +\d+ +[\d.]+ s ")
        self.assertNotIn("samples/s", out)  # no micro-batch was timed

    def test_sets_that_controls_make_larger_or_smaller(self) -> None:
        of_cifar = ("--dataset=cifar10", "--micro_batch_size=128", "--cluster=8x8:h100")
        for flags, samples in (
            (("--duplicate=10",), "50,010 training"),
            (("--leave_out=7,10-19", "--duplicate=100"), "50,089 training"),
            (("--classes=2", "--train_size=500", "--duplicate=10"), "510 training"),
        ):
            out = self.assert_done(command(*TINY, *of_cifar, *flags)).out
            self.assertIn(f"{samples}, ", out)
        self.assert_refused(command(*TINY, *of_cifar, "--leave_out=60000"), "60000 are no ids of the 50,000")

    def test_large_sets_take_no_memory(self) -> None:
        flags = ("--dataset=imagenet2012", "--image_size=224", "--micro_batch_size=2", "--cluster=1x8:a100")
        out = self.assert_done(command(*TINY, *flags)).out
        self.assertRegex(out, r"(?m)^host memory +200 GB of samples per node: .+; of 2 TB$")
        self.assertNotIn("does not fit", out)
        rows = self.rows(*flags)
        self.assertIn("640,584, one per micro-batch", rows["most"])
        refused = command(*TINY, "--dataset=imagenet2012", "--cluster=1x8:a100")
        self.assert_refused(refused, "--image_size=224")

    def test_recipes_of_folders_that_are_not_there(self) -> None:
        small = ("--image_size=8", "--micro_batch_size=100", "--dry_run", "--cluster=64x8:h100")
        for recipe, sizes, host in (
            # ImageNet's random crops stream: labels alone are held.
            (
                "imagenet/fb_clipped",
                "1,281,167 training, 50,000 validation; known sizes, nothing was loaded",
                "5.32 MB",
            ),
            (
                "tiny_imagenet/fb_clipped",
                "100,000 training, 10,000 test (the source's split 'val'",
                "21.6 MB",
            ),
        ):
            out = self.assert_done(command(f"--flagfile=recipe:{recipe}", "--model=resnet_tiny", *small)).out
            (line,) = [line for line in out.splitlines() if line.startswith("samples")]
            self.assertIn(sizes, line)
            self.assertRegex(out, rf"(?m)^host memory +{host} of samples per node")
            self.assertEqual(
                "3 ms of a core per image, 112 cores per node, 37,333 images/s" in out,
                recipe.startswith("imagenet"),
            )
            self.assertRegex(line, r"\(there is no /\S+net\S*/: the published sizes are assumed\)$")
            self.assertRegex(out, r"(?m)^512 \(64x8\) +\d+ ")

    def test_a_folder_that_is_not_there_without_a_cluster(self) -> None:
        flags = ("--image_size=4", "--micro_batch_size=2", "--model=linear", "--dry_run")
        there_is_none = self.assert_done(command("--dataset=no/tiny-imagenet-200/", *flags)).out
        self.assertIn("tiny-imagenet-200/: the published sizes are assumed", there_is_none)
        self.assertIn("samples/s", there_is_none)
        self.assert_refused(command("--dataset=no/such/", *flags), "there is no such folder")

    def test_what_does_not_fit_into_a_node(self) -> None:
        imagenet = ("--dataset=imagenet2012", "--image_size=224", "--micro_batch_size=2")
        small = "64x8:h100,host_memory=100GB"
        out = self.assert_done(command(*TINY, *imagenet, f"--cluster={small}")).out
        said = r"(?m)^does not fit +on a node, 101 GB of host memory are lacking: give the images as a folder, .+=\.{3}"
        self.assertRegex(out, said)
        self.assertRegex(
            out, r"(?m)^does not fit +see above; all that follows is of a cluster with enough memory$"
        )
        out = self.assert_done(command(*TINY, *imagenet, "--cluster=512x1:rtx4090")).out
        self.assertRegex(out, r"(?m)^does not fit +on a node, 13\d GB of host memory are lacking")
        folder = ("--dataset=no/imagenet/", "--image_size=224", "--micro_batch_size=2", f"--cluster={small}")
        streams = self.assert_done(command(*TINY, *folder)).out
        self.assertIn("decoded ahead of the devices; of 100 GB", streams)
        self.assertNotIn("does not fit", streams)
        loaded = self.assert_done(command(*TINY, *folder, "--stream_images=off")).out
        self.assertRegex(
            loaded, r"(?m)^does not fit +on a node, .+ by --stream_images=on, or choose a smaller --im"
        )

    def test_what_does_not_fit_into_a_device(self) -> None:
        flags = ("--dataset=cifar10", "--micro_batch_size=50000", "--model=resnet18")
        out = self.assert_done(command(*TINY, *flags, "--cluster=1x8:rtx4090")).out
        self.assertRegex(
            out, r"(?m)^does not fit +on a device, .+ lower --micro_batch_size=50000, for instance to 25000"
        )
        self.assertRegex(out, r"(?m)^device memory +about \d+ GB per device, of 24 GB")

    def test_what_stays_on_the_devices_of_a_node(self) -> None:
        flags = ("--dataset=cifar10", "--micro_batch_size=128")
        out = self.assert_done(command(*TINY, *flags, "--cluster=1x8:h100")).out
        self.assertRegex(out, r"(?m)^device memory +about .+, samples 23.1 MB$")  # an eighth of 154 and 31 MB
        self.assertNotIn("on their way", out)
        shuffled = self.assert_done(command(*TINY, *flags, "--cluster=1x8:h100", "--shuffle")).out
        self.assertRegex(
            shuffled, r"(?m)^device memory +about .+, samples 158 MB$"
        )  # all of the training samples
        streams = self.assert_done(command(*TINY, *flags, "--cluster=2x8:h100")).out
        self.assertRegex(streams, r"(?m)^device memory +about .+, samples 0 bytes$")
        self.assertIn("on their way; of 2 TB", streams)
        refused = command(*TINY, *flags, "--cluster=2x8:h100", "--data_on_device=on")
        self.assert_refused(refused, "with several workers: their samples stream")

    def test_what_does_not_fit_here_is_not_timed(self) -> None:
        for cluster in ((), ("--cluster=1x2:cpu",)):
            with mock.patch.object(psutil, "virtual_memory", return_value=mock.Mock(available=2**20)):
                ended = self.assert_done(command(*TINY, "--train_size=200", *cluster))
            self.assertRegex(ended.out, r"(?m)^time +not measured, since it does not fit$")
            self.assertRegex(ended.out, r"(?m)^does not fit +[\d.]+ MB are lacking")
            self.assertNotIn("timing", ended.err)
            self.assertNotIn("all-reduce", ended.out)
            ended = self.assert_done(command(*TINY, "--train_size=200", *cluster))
            self.assertIn("samples/s", ended.out)
            self.assertIn("timing two micro-batches of 128\n", ended.err)

    def test_a_cpu_is_timed_here(self) -> None:
        rows = self.rows("--train_size=200", "--micro_batch_size=50", "--cluster=1x2:cpu")
        self.assertIn("as timed here", rows["a"])
        self.assertEqual(rows["1"].split()[2], "4")
        self.assertEqual(rows["2"].split()[2], "2")

    def test_sites_are_named_and_one_ring_over_them(self) -> None:
        rows = self.rows("--train_size=200", "--cluster=2x4x8:h100,notice=2m")
        self.assertIn("2 sites of 4 nodes with 8 devices each", rows["on"])
        self.assertIn("in one ring over all nodes", rows["all-reduce"])
        self.assertIn("between sites", rows["assumed"])
        self.assertIn("of notice", rows["assumed"])

    def test_a_method_that_asks(self) -> None:
        rows = self.rows("--train_size=200", "--cluster=1x8:h100", "--optimizer=lbfgs", "--clip_norm=none")
        self.assertIn("counts one gradient evaluation per step", rows["beside"])

    def test_is_refused_alone(self) -> None:
        for flags, part in (
            (("--cluster=1x8:h100", "--dry_run=false"), "without --dry_run"),
            (("--cluster_efficiency=0.5",), "without --cluster"),
            (("--cluster=1x8:h100", "--cluster_efficiency=1.5"), "must be at most 1"),
            (("--cluster=1x8:h10",), "did you mean h100"),
        ):
            with self.subTest(flags):
                self.assert_refused(command(*TINY, *flags), part)


class BlankSplitsTest(unittest.TestCase):
    def blank(self, **data):
        return blank_splits(Config(data=DataConfig.of(**data), runtime=RuntimeConfig()))

    def test_have_the_sizes_of_the_set(self) -> None:
        splits = self.blank(dataset="cifar100", train_size=1000, validation_size=500)
        self.assertEqual(
            [len(part) for part in (splits.train, splits.validation, splits.test)], [1000, 500, 10_000]
        )
        self.assertEqual((splits.train.input_shape, splits.train.num_classes), ((32, 32, 3), 100))
        self.assertEqual(len(self.blank(dataset="cifar10", validation_size=5000).train), 45_000)
        self.assertEqual(len(self.blank(dataset="cifar10", classes="4").train), 20_000)

    def test_others_are_loaded(self) -> None:
        self.assertIsNone(self.blank(dataset="digits"))
        self.assertIsNone(self.blank(dataset="stl10"))

    def test_folders_by_their_names_where_they_are_not_there(self) -> None:
        splits = self.blank(dataset="/no/imagenet/", image_size=8)
        self.assertEqual((len(splits.train), len(splits.validation), splits.test), (1_281_167, 50_000, None))
        splits = self.blank(dataset="/no/tiny-imagenet-200/", validation_size=1000)
        self.assertEqual(
            [len(part) for part in (splits.train, splits.validation, splits.test)], [99_000, 1000, 10_000]
        )
        self.assertEqual((splits.train.input_shape, splits.train.num_classes), ((64, 64, 3), 200))
        self.assertIsNone(self.blank(dataset="/no/such/"))
        with tempfile.TemporaryDirectory() as folder:
            there = Path(folder) / "tiny-imagenet-200"
            there.mkdir()
            self.assertIsNone(self.blank(dataset=f"{there}/"))

    def test_sizes_that_do_not_fit(self) -> None:
        with self.assertRaisesRegex(UserError, "has a split 'validation' of its own"):
            self.blank(dataset="/no/imagenet/", image_size=8, validation_size=5)
        with self.assertRaises(UserError):
            self.blank(dataset="mnist", train_size=60_001)

    def test_statistics_of_a_repeated_sample_are_those_of_the_sample(self) -> None:
        sample = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
        repeated = np.broadcast_to(sample, (50, 4, 4, 3))
        for found, expected in zip(
            input_statistics(repeated), input_statistics(repeated.copy()), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-15)


if __name__ == "__main__":
    unittest.main()
