"""The configuration: ranges, contradictions, documentation and JSON; without TensorFlow."""

import dataclasses
import json
import subprocess
import sys
import unittest

from hypothesis import given
from hypothesis import strategies as st

from tf_fullbatch.config.comparing import result_differences
from tf_fullbatch.config.run import Config, settings_fields
from tf_fullbatch.config.runtime import RuntimeConfig
from tf_fullbatch.config.step import PENALTIES, StepConfig
from tf_fullbatch.data.settings import DataConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.models.settings import ModelConfig
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.optim.settings import OptimizerConfig
from tf_fullbatch.settings.components import choices
from tf_fullbatch.settings.fields import is_setting, setting

GROUPS = {group.name: group.default_factory for group in dataclasses.fields(Config)}
COMPONENTS = [
    kind
    for group in GROUPS.values()
    for _, choice in choices(group)
    for kind in dict.fromkeys([*choice.components.values(), *(kind for _, kind in choice.others)])
]
HOLDERS = [
    (kind, field)
    for kind in [*GROUPS.values(), *COMPONENTS]
    for field in dataclasses.fields(kind)
    if is_setting(field)
]
"""(class, field) of every setting, wherever it is held."""


class FieldsTest(unittest.TestCase):
    def test_every_field_is_documented(self) -> None:
        for group, field in settings_fields():
            with self.subTest(group=group, field=field.name):
                text = field.metadata["help"]
                self.assertTrue(text.endswith("."), text)
                self.assertEqual(text, " ".join(text.split()))

    def test_names_are_unique_across_groups(self) -> None:
        names = [field.name for _, field in settings_fields()]
        self.assertEqual(len(names), len(set(names)))

    def test_all_fields_of_all_groups_are_listed(self) -> None:
        listed = {(group, field.name) for group, field in settings_fields()}
        self.assertEqual(
            listed, {(name, f.name) for name, group in GROUPS.items() for f in group.flat_fields()}
        )
        self.assertEqual({name for _, name in listed}, {field.name for _, field in HOLDERS})

    def test_names_of_code_and_options_are_checked_as_soon_as_they_are_there(self) -> None:
        for group, of in (
            (ModelConfig, "model"), (OptimizerConfig, "optimizer"), (OptimizerConfig, "loss"),
            (StepConfig, "augmentation"), (DataConfig, "dataset"),
        ):  # fmt: skip
            options = {f"{of}_options": "a"}
            with self.subTest(of):
                group.of(**{of: "package.module:name"})
                with self.assertRaisesRegex(UserError, f"^--{of}_options=a: 'a' is no key=value"):
                    group.of(**{of: "package.module:name"}, **options)
                if of != "dataset":  # others are names of TFDS
                    own = "or alone FILE.py:function" if of == "augmentation" else "keras:NAME"
                    with self.assertRaisesRegex(UserError, f"^--{of}=a-b:name: accepted are .*{own}"):
                        group.of(**{of: "a-b:name"})

    def test_groups_are_frozen_keyword_only_and_have_no_other_attributes(self) -> None:
        for group in [*GROUPS.values(), Config, *COMPONENTS]:
            needed = {"decay_epochs": (3.0,)} if group is SCHEDULES["steps"] else {}
            built = group(**needed)
            self.assertFalse(hasattr(built, "__dict__"))
            if not dataclasses.fields(group):
                continue
            name = dataclasses.fields(group)[0].name
            with self.assertRaises(dataclasses.FrozenInstanceError):
                setattr(built, name, None)
            with self.assertRaises(TypeError):
                group("positional")

    def test_defaults_are_accepted_values(self) -> None:
        config = Config()
        self.assertEqual(config.step.penalty, "none")
        self.assertIsNone(config.optimizer.batch_size)

    def test_no_tensorflow_is_imported(self) -> None:
        code = (
            "import sys, tf_fullbatch.config.run;"
            "print([m for m in ('tensorflow', 'keras', 'absl', 'numpy') if m in sys.modules])"
        )
        finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(finished.stdout.strip(), "[]")


class RangeTest(unittest.TestCase):
    def edges(self, limits: dict) -> tuple[list[float], list[float]]:
        """(accepted, refused) numbers at the edges of a field's range."""
        accepted, refused = [], []
        if limits["minimum"] is not None:
            accepted.append(limits["minimum"])
            refused.append(limits["minimum"] - 1)
        if limits["above"] is not None:
            refused += [limits["above"], limits["above"] - 1]
        if limits["below"] is not None:
            refused += [limits["below"], limits["below"] + 1]
        if limits["maximum"] is not None:
            accepted.append(limits["maximum"])
            refused.append(limits["maximum"] + 1)
        return accepted, refused

    def test_numbers_at_the_edges(self) -> None:
        checked = 0
        for kind, field in HOLDERS:
            if field.metadata["choices"]:
                continue
            _, refused = self.edges(field.metadata)
            for number in refused:
                value = (number,) if isinstance(field.default, tuple) else number
                with self.subTest(kind=kind, field=field.name, value=value):
                    with self.assertRaisesRegex(UserError, f"^--{field.name}=.*: must be "):
                        kind(**{field.name: value})
                    checked += 1
        self.assertGreater(checked, 40)

    def test_accepted_edges(self) -> None:
        StepConfig(seed=2**31 - 1, micro_batch_size=1)
        StepConfig.of(augmentation="crop_flip", augmentation_padding=0)
        StepConfig.of(augmentation="randaugment(m=30)")
        OptimizerConfig.of(momentum=0.0, weight_decay=0.0, warmup_epochs=0.5)
        OptimizerConfig.of(schedule="steps", decay_epochs=(1.0,), decay_factor=1.0)
        DataConfig.of(dataset="mnist", image_size=4, train_size=1)
        RuntimeConfig(epochs=1, profile_steps=(3, 3))

    def test_runs_with_keras_cvs_randaugment_are_read(self) -> None:
        groups = Config(data=DataConfig(dataset="cifar10")).to_dict()
        old = {"randaugment_magnitude": 0.3, "randaugment_operations": 2, "augmentation_padding": 3}
        for name, now, padding in (
            ("crop", "crop", 3),
            ("randaugment", "crop3,flip,randaugment(n=2,m=9)", 4),
        ):
            groups["step"] |= old | {"augmentation": name}
            step = Config.from_dict(groups).step
            self.assertEqual((step.augmentation, step.to_flat()["augmentation_padding"]), (now, padding))

    def test_choices(self) -> None:
        for kind, field in HOLDERS:
            if field.metadata["choices"]:
                several = isinstance(field.default, tuple)
                with self.subTest(kind=kind, field=field.name):
                    default = field.default if several else (field.default,)
                    self.assertLessEqual(set(default) - {None}, set(field.metadata["choices"]))
                    with self.assertRaisesRegex(UserError, f"^--{field.name}=no_such: accepted are "):
                        kind(**{field.name: ("no_such",) if several else "no_such"})
        for group, field in settings_fields():
            if field.metadata["choices"]:
                with self.assertRaisesRegex(UserError, f"^--{field.name}=no_such: accepted are "):
                    value = ("no_such",) if isinstance(field.default, tuple) else "no_such"
                    GROUPS[group].of(**{field.name: value})

    def test_not_a_number(self) -> None:
        for value in (float("nan"), float("inf"), -float("inf")):
            with self.assertRaisesRegex(UserError, "--clip_norm=.*: must be"):
                StepConfig(clip_norm=value)
            with self.assertRaisesRegex(UserError, "--decay_epochs=.*: must be"):
                OptimizerConfig.of(schedule="steps", decay_epochs=(1.0, value))

    def test_types(self) -> None:
        for group, name, value in (
            (StepConfig, "micro_batch_size", 2.5),
            (StepConfig, "micro_batch_size", "8"),
            (StepConfig, "micro_batch_size", None),
            (StepConfig, "micro_batch_size", True),
            (StepConfig, "penalty_epsilon", "0.01"),
            (StepConfig, "penalty", 3),
            (StepConfig, "flip_averaging", 1),
            (OPTIMIZERS["gradient_descent"], "nesterov", None),
            (SCHEDULES["steps"], "decay_epochs", 3.0),
            (SCHEDULES["steps"], "decay_epochs", ("3",)),
            (RuntimeConfig, "profile_steps", (1.5, 3)),
        ):
            with (
                self.subTest(name=name, value=value),
                self.assertRaisesRegex(UserError, f"--{name}=.*must be"),
            ):
                group(**{name: value})
        self.assertIsNone(StepConfig(clip_norm=None).clip_norm)
        self.assertEqual(StepConfig(clip_norm=1).clip_norm, 1)

    def test_messages_say_what_came_and_what_is_accepted(self) -> None:
        with self.assertRaises(UserError) as caught:
            StepConfig(micro_batch_size=0)
        self.assertEqual(str(caught.exception), "--micro_batch_size=0: must be at least 1.")

    def test_setting_keeps_its_arguments(self) -> None:
        metadata = setting(1, "Help.", minimum=0, affects_results=False).metadata
        self.assertEqual(
            (metadata["minimum"], metadata["affects_results"], metadata["help"]), (0, False, "Help.")
        )


CONFIGS = st.builds(
    lambda model, width, penalty, strength, clip, rate, decay, epochs, train: Config(
        data=DataConfig(train_size=train),
        model=ModelConfig.of(model=model, width=width),
        step=StepConfig(
            penalty=penalty, penalty_strength=strength if penalty != "none" else 0.0, clip_norm=clip
        ),
        optimizer=OptimizerConfig.of(
            learning_rate=rate,
            schedule="steps" if decay else "published",
            schedule_epochs=2e4 if decay else None,
            decay_epochs=tuple(sorted(decay)),
        ),
        runtime=RuntimeConfig(epochs=epochs, output_dir="runs/a b"),
    ),
    st.sampled_from(["resnet8", "mlp"]),
    st.none() | st.integers(1, 64),
    st.sampled_from(PENALTIES),
    st.floats(1e-9, 1e3),
    st.none() | st.floats(1e-9, 1e9),
    st.floats(1e-9, 1e3),
    st.lists(st.floats(0.5, 1e4), max_size=3, unique=True),
    st.integers(1, 10**6),
    st.none() | st.integers(128, 10**6),
)


class JsonTest(unittest.TestCase):
    @given(config=CONFIGS)
    def test_round_trip(self, config) -> None:
        self.assertEqual(Config.from_dict(json.loads(json.dumps(config.to_dict()))), config)

    def test_every_setting_is_written(self) -> None:
        written = Config().to_dict()
        self.assertEqual({(g, n) for g, fields in written.items() for n in fields},
                         {(g, f.name) for g, f in settings_fields()})  # fmt: skip

    def test_unknown_and_missing_settings_are_named(self) -> None:
        groups = Config().to_dict()
        with self.assertRaisesRegex(
            UserError,
            "configuration has the groups data, controls, model, .*; this one has controls, data, measures",
        ):
            Config.from_dict({"data": groups["data"]})
        with self.assertRaisesRegex(UserError, "'step' lacks nothing, and clip is unknown"):
            Config.from_dict({**groups, "step": {**groups["step"], "clip": 1}})
        with self.assertRaisesRegex(UserError, "'model' lacks activation, .*, and nothing is unknown"):
            Config.from_dict({**groups, "model": {"width": 3}})
        for wrong in ([], None, {**groups, "step": 3}):
            with self.assertRaises(UserError):
                Config.from_dict(wrong)

    def test_settings_of_components_that_are_not_chosen_may_be_lacking(self) -> None:
        # An optimizer that is added later brings its flags along; records of before have none of them.
        groups = (
            Config.from_dict(Config().to_dict()).replacing(optimizer="adamw", weight_decay=0.25).to_dict()
        )
        without = {
            name: value for name, value in groups["optimizer"].items() if name not in ("momentum", "nesterov")
        }
        read = Config.from_dict({**groups, "optimizer": without})
        self.assertEqual(read.to_dict(), groups)
        with self.assertRaisesRegex(
            UserError, "'optimizer' lacks momentum, nesterov, and nothing is unknown"
        ):
            Config.from_dict({**groups, "optimizer": without | {"optimizer": "gradient_descent"}})

    def test_values_are_checked(self) -> None:
        groups = Config().to_dict()
        for group, name in (("optimizer", "optimizer"), ("model", "model"), ("data", "dataset")):
            for wrong in (3, None, {}, []):
                with self.subTest(name=name, wrong=wrong), self.assertRaisesRegex(UserError, f"--{name}="):
                    Config.from_dict({**groups, group: {**groups[group], name: wrong}})
        for value in (0, "128", None, [128]):
            with self.assertRaisesRegex(UserError, "--micro_batch_size="):
                Config.from_dict({**groups, "step": {**groups["step"], "micro_batch_size": value}})


class ReplacingTest(unittest.TestCase):
    def test_replaces_by_name_and_checks(self) -> None:
        config = Config().replacing(epochs=7, micro_batch_size=32)
        self.assertEqual((config.runtime.epochs, config.step.micro_batch_size), (7, 32))
        self.assertEqual(config.replacing(epochs=60, micro_batch_size=128), Config())
        with self.assertRaisesRegex(TypeError, "no_such"):
            config.replacing(no_such=1)
        with self.assertRaises(UserError):
            config.replacing(epochs=0)


class AffectingResultsTest(unittest.TestCase):
    def names(self, **settings: object) -> list[str]:
        base = Config(optimizer=OptimizerConfig(schedule_epochs=100))
        return [name for name, _, _ in result_differences(base, base.replacing(**settings))]

    def test_what_affects_results_is_named_with_both_values(self) -> None:
        new = Config().replacing(micro_batch_size=64)
        self.assertEqual(result_differences(Config(), new), [("micro_batch_size", 128, 64)])

    def test_what_does_not_may_change(self) -> None:
        free = {f.name for _, f in settings_fields() if not f.metadata["affects_results"]}
        for name in (
            "strategy",
            "chunk_micro_batches",
            "checkpoint_every",
            "evaluate_every",
            "output_dir",
            "quiet",
        ):
            self.assertIn(name, free)
        for name in ("seed", "batch_size", "learning_rate", "dtype_policy", "model", "accumulate_dtype"):
            self.assertNotIn(name, free)
        self.assertEqual(self.names(strategy="mirrored", chunk_micro_batches=3, checkpoint_every="2"), [])

    def test_training_may_be_lengthened_only_where_the_horizon_was_given(self) -> None:
        self.assertEqual(self.names(epochs=90), [])
        self.assertEqual(
            result_differences(Config(), Config().replacing(epochs=90)), [("schedule_epochs", 60, 90)]
        )
        self.assertEqual(self.names(schedule_epochs=200), ["schedule_epochs"])

    def test_passes_may_be_appended_and_then_stay(self) -> None:
        base = Config()
        once = base.replacing(extend_epochs=(5,))
        twice = base.replacing(extend_epochs=(5, 3), extend_learning_rate=(0.1, 0.01))
        for old, new in ((base, once), (once, twice), (base, twice), (once, once)):
            self.assertEqual(result_differences(old, new), [])
        names = ["extend_epochs", "extend_learning_rate", "extend_warmup_epochs", "extend_schedule"]
        self.assertEqual([name for name, _, _ in result_differences(once, base)], names)
        other = twice.replacing(extend_learning_rate=(0.2, 0.01))
        self.assertEqual(result_differences(once, other), [("extend_learning_rate", (0.1,), (0.2,))])
        long = base.replacing(schedule_epochs=60, epochs=70)
        self.assertEqual(result_differences(base, long), [])
        longer = long.replacing(extend_epochs=(5,))
        self.assertEqual(result_differences(once, longer), [("epochs", 60, 70)])
        self.assertEqual((65, (60, 65)), (once.total_epochs, once.stretch_ends))


if __name__ == "__main__":
    unittest.main()
