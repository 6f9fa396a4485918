"""Flagfiles: the paper's rows hold the paper's settings, their variants differ where they say, headers are true."""

import dataclasses
import subprocess
import sys
import unittest
from pathlib import Path

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ROOT / "flags"
SEVEN = (
    "cifar10",
    "cifar10_no_augmentation",
    "digits",
    "cifar100",
    "tiny_imagenet",
    "imagenet",
)  # folders of all rows
BASE = "base.flags"  # included by the rows of its folder, not a recipe by itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table in Geiping et al. 2022 (arXiv 2109.14119): what the rows differ in."""

    epochs: int
    learning_rate: float
    warmup: int
    horizon: int
    clip: float | None
    strength: float
    micro_batch: int
    update_batch: int | None
    shuffle: bool

    def settings(self) -> dict[str, object]:
        """Name -> value of every setting the row decides."""
        return {
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "warmup_epochs": self.warmup,
            "schedule_epochs": self.horizon,
            "clip_norm": self.clip,
            "penalty": "forward_differences" if self.strength else "none",
            "penalty_strength": self.strength,
            "micro_batch_size": self.micro_batch,
            "batch_size": self.update_batch,
            "shuffle": self.shuffle,
        }


# Geiping et al. 2022, the table of CIFAR-10 results and the text on its hyperparameters.
TABLE = {
    "sgd": Row(epochs=300, learning_rate=0.1, warmup=5, horizon=300,
               clip=None, strength=0.0, micro_batch=128, update_batch=128, shuffle=True),
    "fb_baseline": Row(epochs=300, learning_rate=0.1, warmup=5, horizon=300,
                       clip=None, strength=0.0, micro_batch=128, update_batch=None, shuffle=False),
    "fb_train_longer": Row(epochs=3000, learning_rate=0.4, warmup=400, horizon=4000,
                           clip=None, strength=0.0, micro_batch=128, update_batch=None, shuffle=False),
    "fb_clipped": Row(epochs=3000, learning_rate=0.4, warmup=400, horizon=4000,
                      clip=0.25, strength=0.0, micro_batch=128, update_batch=None, shuffle=False),
    "fb_regularized": Row(epochs=3000, learning_rate=0.8, warmup=400, horizon=4000,
                          clip=0.25, strength=0.5, micro_batch=128, update_batch=None, shuffle=False),
    "fb_strong_reg": Row(epochs=3000, learning_rate=0.8, warmup=400, horizon=4000,
                         clip=0.25, strength=0.5, micro_batch=32, update_batch=None, shuffle=False),
    "fb_in_practice": Row(epochs=3000, learning_rate=0.8, warmup=400, horizon=4000,
                          clip=0.25, strength=0.5, micro_batch=32, update_batch=None, shuffle=True),
}  # fmt: skip

# What all rows share, apart from the data set.
COMMON = {
    "model": "resnet18",
    "shortcut": "pool_conv_norm",
    "norm": "batch",
    "activation": "relu",
    "augmentation": "crop_flip",
    "augmentation_padding": 4,
    "optimizer": "gradient_descent",
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "decay_norm_and_bias": True,
    "schedule": "published",
    "penalty_epsilon": 0.01,
    "label_smoothing": 0.0,
}

# The digits' rows: lengths in passes by 1/25; micro-batches, SGD's update batch and the rest as published.
PASSES_SCALE = 25


def parse(path: Path, *arguments: str) -> Config:
    """What a flagfile, and arguments after it, mean."""
    config = cli_flags.parse(["main", f"--flagfile={path}", *arguments])
    assert config is not None
    return config


def settings(config: Config) -> dict[str, object]:
    """Name -> value of every setting."""
    return dict(config.values())


def header(path: Path) -> str:
    """The comment a flagfile opens with, as one line."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return " ".join(lines)


def flagfiles() -> list[Path]:
    return sorted(path for path in FLAGS.rglob("*.flags") if path.parent.name != "studies")


def rows_of(folder: str) -> dict[str, Path]:
    """Row name -> flagfile of a folder's recipes."""
    return {path.stem: path for path in (FLAGS / folder).glob("*.flags") if path.name != BASE}


class PublishedRowsTest(unittest.TestCase):
    def test_the_rows_are_the_tables(self):
        for folder in SEVEN:
            self.assertEqual(set(rows_of(folder)), set(TABLE), folder)

    def test_each_row_sets_what_the_table_says_and_nothing_else(self):
        for name, row in TABLE.items():
            with self.subTest(row=name):
                expected = settings(Config()) | {"dataset": "cifar10"} | COMMON | row.settings()
                self.assertEqual(settings(parse(FLAGS / "cifar10" / f"{name}.flags")), expected)

    def test_without_augmentation_only_the_augmentation_differs(self):
        for name in TABLE:
            with self.subTest(row=name):
                twin = settings(parse(FLAGS / "cifar10" / f"{name}.flags"))
                changed = settings(parse(FLAGS / "cifar10_no_augmentation" / f"{name}.flags"))
                self.assertEqual(changed, twin | {"augmentation": "none"})

    def test_other_data_networks_and_copies_change_what_they_say_alone(self):
        sides = {"image_size": 224, "shorter_side": 256, "random_resized_crop": True, "augmentation": "flip"}
        changes = {
            "cifar100": {"dataset": "cifar100"},
            "tiny_imagenet": {"dataset": "tiny-imagenet-200/"},
            "imagenet": {"dataset": "imagenet/", "model": "resnet50"} | sides,
        }
        for folder, change in changes.items():
            for name in TABLE:
                self.check_twin(folder, name, name, change)
        for name in ("sgd", "fb_strong_reg"):
            for network in ("resnet50", "resnet152"):
                self.check_twin("cifar10_networks", f"{name}_{network}", name, {"model": network})
            for network in ("densenet121", "vgg16"):
                config = parse(FLAGS / "cifar10_networks" / f"{name}_{network}.flags")
                twin = parse(FLAGS / "cifar10" / f"{name}.flags", f"--model={network}", "--shortcut=auto")
                self.assertEqual(twin, config)
        for name in ("sgd", "fb_clipped", "fb_regularized", "fb_strong_reg"):
            for copies in (10, 40):
                change = {"augment_copies": copies, "copies_in_turn": name == "sgd"}
                self.check_twin("cifar10_copies", f"{name}_{copies}", name, change)

    def check_twin(self, folder: str, name: str, twin: str, change: dict[str, object]) -> None:
        """That a flagfile is the row `twin` with these settings, and no others, changed."""
        with self.subTest(folder=folder, row=name):
            before = settings(parse(FLAGS / "cifar10" / f"{twin}.flags"))
            after = settings(parse(FLAGS / folder / f"{name}.flags"))
            idle = {"shorter_side", "stream_images", "random_resized_crop", "target"}
            different = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
            self.assertLessEqual(different, change.keys() | idle)
            for key, value in change.items():
                found = after[key]
                if key == "dataset" and str(value).endswith("/"):
                    found = f"{Path(str(found)).name}/"
                self.assertEqual(value, found, key)

    def test_header_names_the_row(self):
        titles = {
            "sgd": "Baseline SGD",
            "fb_baseline": "Baseline FB",
            "fb_train_longer": "FB train longer",
            "fb_clipped": "FB clipped",
            "fb_regularized": "FB regularized",
            "fb_strong_reg": "FB strong reg.",
            "fb_in_practice": "FB in practice",
        }
        for folder in SEVEN:
            for name, title in titles.items():
                with self.subTest(folder=folder, row=name):
                    self.assertIn(f'row "{title}"', header(FLAGS / folder / f"{name}.flags"))


class DigitsRowsTest(unittest.TestCase):
    def test_each_row_is_the_published_one_in_proportion(self):
        for name, row in TABLE.items():
            with self.subTest(row=name):
                config = parse(FLAGS / "digits" / f"{name}.flags")
                scaled = {
                    "epochs": row.epochs / PASSES_SCALE,
                    "warmup_epochs": row.warmup / PASSES_SCALE,
                    "schedule_epochs": row.horizon / PASSES_SCALE,
                }
                actual = settings(config)
                self.assertEqual({key: actual[key] for key in row.settings()}, row.settings() | scaled)

    def test_rows_share_everything_the_published_rows_share(self):
        varying = {key for row in TABLE.values() for key in row.settings()}
        shared = [
            {key: value for key, value in settings(parse(path)).items() if key not in varying}
            for path in rows_of("digits").values()
        ]
        for other in shared[1:]:
            self.assertEqual(other, shared[0])
        self.assertEqual(shared[0]["dataset"], "digits")
        for key in ("shortcut", "norm", "activation", "optimizer", "momentum", "nesterov", "weight_decay",
                    "decay_norm_and_bias", "schedule", "penalty_epsilon", "label_smoothing"):  # fmt: skip
            self.assertEqual(shared[0][key], COMMON[key], key)


class QuickstartTest(unittest.TestCase):
    def test_is_clipped_penalised_full_batch_descent_on_the_embedded_digits(self):
        config = parse(FLAGS / "quickstart.flags")
        self.assertEqual(config.data.dataset, "digits")
        self.assertGreater(config.data.validation_size, 0)
        self.assertIsNone(config.optimizer.batch_size)
        self.assertEqual(config.optimizer.optimizer, "gradient_descent")
        self.assertEqual(config.optimizer.schedule, "cosine")
        self.assertGreater(config.optimizer.warmup_epochs, 0)
        self.assertIsNotNone(config.step.clip_norm)
        self.assertEqual(config.step.penalty, "forward_differences")
        self.assertGreater(config.step.penalty_strength, 0)


class EveryFlagfileTest(unittest.TestCase):
    def test_parses_and_later_flags_win(self):
        self.assertGreaterEqual(len(flagfiles()), 1 + 3 * len(TABLE))
        for path in flagfiles():
            with self.subTest(path=path):
                self.assertEqual(parse(path, "--seed=7").step.seed, 7)

    def test_sets_no_flag_twice(self):
        for path in flagfiles():
            with self.subTest(path=path):
                names = [
                    line.partition("=")[0]
                    for line in path.read_text(encoding="utf-8").splitlines()
                    if line.startswith("--")
                ]
                self.assertEqual(sorted(names), sorted(set(names)))

    def test_opens_with_what_it_is_its_command_cost_and_expected_result(self):
        for path in flagfiles():
            if path.name == BASE:
                continue
            with self.subTest(path=path):
                text = header(path)
                command = text.partition("command:")[2].partition("cost:")[0]
                self.assertIn(f"--flagfile={path.relative_to(ROOT)}", command.split())
                self.assertRegex(text, r"^[A-Z].*command: .+cost: .+expected: .+")

    def test_headers_command_means_the_file(self):
        for path in flagfiles():
            if path.name == BASE:
                continue
            with self.subTest(path=path):
                command = header(path).partition("command:")[2].partition("cost:")[0].split()
                start = command.index("tf_fullbatch.main")
                config = cli_flags.parse(["main", *self.anchored(command[start + 1 :])])
                assert config is not None
                described = settings(config) | {"data_dir": None}  # DIR stands for the reader's own folder
                self.assertEqual(described, settings(parse(path)))

    def anchored(self, arguments: list[str]) -> list[str]:
        """Arguments whose flagfile is found from any working directory."""
        return [argument.replace("--flagfile=", f"--flagfile={ROOT}/") for argument in arguments]

    def test_base_says_it_is_no_recipe(self):
        for path in flagfiles():
            if path.name == BASE:
                self.assertIn("Not a recipe by itself", header(path))

    def test_reading_them_does_not_import_tensorflow(self):
        code = (
            "import sys; from tf_fullbatch.config import cli_flags; "
            f"cli_flags.parse(['main', '--flagfile={FLAGS / 'quickstart.flags'}']); "
            "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode, 0)
