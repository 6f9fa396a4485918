"""Settings that contradict each other, or that nothing would read, are refused; without TensorFlow."""

import unittest

from tf_fullbatch.config.run import Config
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.config.step import PENALTIES, StepConfig
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.optim.settings import OptimizerConfig
from tf_fullbatch.settings.fields import flag_text


class ContradictionTest(unittest.TestCase):
    def assert_refused(self, flags: tuple[str, ...], **groups: object) -> None:
        """Refused in one line that names every flag to change."""
        with self.assertRaises(UserError) as caught:
            Config(**groups)
        message = str(caught.exception)
        self.assertNotIn("\n", message)
        for flag in flags:
            self.assertIn(f"--{flag}", message)

    def test_batches(self) -> None:
        self.assert_refused(("micro_batch_size", "batch_size"), optimizer=OptimizerConfig(batch_size=64))
        self.assert_refused(
            ("batch_size=500", "train_size=200"),
            optimizer=OptimizerConfig(batch_size=500),
            data=DataConfig(train_size=200),
        )
        self.assert_refused(
            ("micro_batch_size=129", "train_size=100"),
            data=DataConfig(train_size=100),
            step=StepConfig(micro_batch_size=129),
        )
        Config(data=DataConfig(train_size=100))  # nobody chose micro-batches of 128: they have all there is
        Config(optimizer=OptimizerConfig(batch_size=128))

    def test_schedules(self) -> None:
        self.assert_refused(("warmup_epochs=61", "epochs=60"), optimizer=OptimizerConfig(warmup_epochs=61))
        self.assert_refused(
            ("warmup_epochs=400", "schedule_epochs=4000 in proportion"),
            optimizer=OptimizerConfig(warmup_epochs=400, schedule_epochs=4000),
        )
        self.assert_refused(
            ("warmup_epochs=20", "schedule_epochs=10"),
            optimizer=OptimizerConfig(warmup_epochs=20, schedule_epochs=10),
        )
        with self.assertRaisesRegex(
            UserError, "^--schedule=steps with --decay_epochs=: .* needs --decay_epochs"
        ):
            OptimizerConfig(schedule="steps")
        for epochs in ((30.0, 45.0, 45.0), (45.0, 30.0), (30.0, 60.0)):
            self.assert_refused(
                ("decay_epochs=" + ",".join(f"{epoch:g}" for epoch in epochs) + ": give ascending epochs",),
                optimizer=OptimizerConfig.of(schedule="steps", decay_epochs=epochs),
            )
        Config(optimizer=OptimizerConfig.of(schedule="steps", decay_epochs=(30.0, 45.0)))

    def test_images(self) -> None:
        for size in (7, 32):
            with self.assertRaisesRegex(
                UserError, f"^--image_size={size}: the digits are 8x8; leave it unset.$"
            ):
                DataConfig.of(image_size=size)
        DataConfig.of(image_size=8)
        self.assert_refused(
            (
                "augmentation=randaugment needs images of 3 channels, the digits have 1: leave out what is for colours",
            ),
            step=StepConfig(augmentation="randaugment"),
        )
        Config(data=DataConfig(dataset="cifar10"), step=StepConfig(augmentation="randaugment"))

    def test_penalties(self) -> None:
        for name in PENALTIES[1:]:
            with self.assertRaisesRegex(UserError, f"--penalty={name} without a strength"):
                StepConfig(penalty=name)
            StepConfig(penalty=name, full_gradient_penalty_strength=0.1)
        for strength in ("penalty_strength", "full_gradient_penalty_strength"):
            with self.assertRaisesRegex(UserError, f"--penalty=none with .*--{strength}"):
                StepConfig(**{strength: 0.5})
        self.assert_refused(("penalty_warmup_epochs", "penalty"), step=StepConfig(penalty_warmup_epochs=3))

    def test_profile(self) -> None:
        for steps in ((1,), (5, 3), (1, 2, 3)):
            with self.assertRaisesRegex(UserError, "--profile_steps=.*such as 3,5"):
                RuntimeConfig(profile_steps=steps)


class WithoutEffectTest(unittest.TestCase):
    def assert_refused(self, group: type, reason: str, given: dict[str, object], **others: object) -> None:
        """Each of the given settings is refused with the others there, and its default is not."""
        group.of(**others)
        defaults = {field.name: field.default for field in group.flat_fields()}
        texts = {field.name: flag_text(field, field.default) for field in group.flat_fields()}
        for name, value in given.items():
            with self.subTest(name=name, others=others):
                shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
                left = f"at {texts[name]}" if texts[name] else "unset"
                with self.assertRaisesRegex(
                    UserError, f"^--{name}={shown} has no effect {reason}: leave it {left}, its default.$"
                ):
                    group.of(**others, **{name: value})
                group.of(**others, **{name: defaults[name]})

    def test_step(self) -> None:
        self.assert_refused(
            StepConfig, "without --clip_norm or --micro_batch_clip_norm", {"clip_norm_type": "inf"}
        )
        self.assert_refused(StepConfig, "with --augmentation=none", {"augmentation_padding": 2})
        self.assert_refused(
            StepConfig,
            "with --augmentation=crop4,flip",
            {"augmentation_padding": 2},
            augmentation="crop4,flip",
        )
        StepConfig.of(augmentation="crop_flip", augmentation_padding=2)
        StepConfig(clip_norm=1.0, clip_norm_type="inf")
        StepConfig(micro_batch_clip_norm=1.0, clip_norm_type="inf")

    def test_optimizer(self) -> None:
        self.assert_refused(
            OptimizerConfig, "with --optimizer=adamw", {"momentum": 0.5, "nesterov": False}, optimizer="adamw"
        )
        self.assert_refused(
            OptimizerConfig,
            "with --schedule=cosine",
            {"decay_factor": 0.5, "decay_epochs": (3.0,)},
            schedule="cosine",
        )
        OptimizerConfig.of(schedule="steps", decay_epochs=(3.0,), decay_factor=0.5)

    def test_model(self) -> None:
        layers = {"stem": "cifar", "shortcut": "pad", "norm": "group"}
        self.assert_refused(ModelConfig, "with --model=mlp", layers, model="mlp")
        self.assert_refused(
            ModelConfig, "with --model=linear", layers | {"width": 8, "activation": "gelu"}, model="linear"
        )
        ModelConfig.of(model="mlp", width=8, activation="gelu")


if __name__ == "__main__":
    unittest.main()
