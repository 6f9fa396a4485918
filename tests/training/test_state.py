"""What is saved of a training: names that hold across processes, strict restores, exact resumes."""

import json
import os
import subprocess
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

from tests.training.tiny import build_network, build_training, train
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.records.checkpoints import load_checkpoint, load_latest, save_checkpoint
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.state import TrainingState

NAMES = [
    "network/000/dense/kernel",
    "network/001/dense/bias",
    "network/002/batch_normalization/gamma",
    "network/003/batch_normalization/beta",
    "network/004/batch_normalization/moving_mean",
    "network/005/batch_normalization/moving_variance",
    "network/006/dense/kernel",
    "network/007/dense/bias",
    "optimizer/000/gradient_descent/iteration",
    "optimizer/001/gradient_descent/learning_rate",
    "optimizer/002/gradient_descent/dense/kernel/momentum",
    "optimizer/003/gradient_descent/dense/bias/momentum",
    "optimizer/004/gradient_descent/batch_normalization/gamma/momentum",
    "optimizer/005/gradient_descent/batch_normalization/beta/momentum",
    "optimizer/006/gradient_descent/dense/kernel/momentum",
    "optimizer/007/gradient_descent/dense/bias/momentum",
    "ema/000/dense/kernel",
    "ema/001/dense/bias",
    "ema/002/batch_normalization/gamma",
    "ema/003/batch_normalization/beta",
    "ema/004/batch_normalization/moving_mean",
    "ema/005/batch_normalization/moving_variance",
    "ema/006/dense/kernel",
    "ema/007/dense/bias",
    "ema/updates",
]


class StateTestCase(tf.test.TestCase):
    def folder(self) -> str:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def assert_equal_bits(self, found, expected):
        self.assertEqual(list(found), list(expected))
        different = [n for n in expected if found[n].tobytes() != expected[n].tobytes()]
        self.assertEmpty(different)


class NamesTest(StateTestCase):
    def test_are_the_same_however_keras_numbers_the_layers(self):
        for _ in range(2):
            model, _, state = build_training()
            self.assertEqual(state.names, NAMES)
        self.assertRegex(
            model.network.weights[0].path, r"dense_\d+/kernel", "the second model is not numbered"
        )

    def test_do_not_depend_on_what_a_network_was_built_in(self):
        class Network(keras.Model):
            def __init__(self):
                super().__init__()
                self.norm, self.dense = keras.layers.BatchNormalization(), keras.layers.Dense(3)

            def build(self, input_shape):
                self.norm.build(input_shape)
                self.dense.build(input_shape)

            def call(self, x, training=None):
                return self.dense(self.norm(x, training=training))

        names = []
        for build in (lambda m: m.network(np.zeros((1, 6))), lambda m: m(np.zeros((1, 6)))):
            model = FullBatchModel(Network())
            model.compile(optimizer=GradientDescent(0.1), loss="mse")
            build(model)
            model.optimizer.build(model.network.trainable_variables)
            names.append(TrainingState(model).names)
        self.assertEqual(names[0], names[1])
        self.assertIn("network/000/batch_normalization/gamma", names[0])

    def test_every_optimizer_variable_has_its_own(self):
        mixed = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1, momentum=0.9))
        schedule = build_schedule("constant", peak=0.1, warmup_epochs=0, horizon_epochs=9, steps_per_epoch=1)
        for optimizer, own in (
            (keras.optimizers.Adam(0.1, amsgrad=True), 2 + 3 * 6),
            (keras.optimizers.SGD(0.1), 2),
            (mixed, 3 + 1 + 2 + 6),
            (GradientDescent(schedule), 1 + 6),
        ):
            model, _, state = build_training(optimizer, averaged=False)
            names = [name for name in state.names if name.startswith("optimizer/")]
            self.assertLen(names, len(model.optimizer.variables), optimizer.name)
            if optimizer is not mixed:
                self.assertLen(names, own)
            self.assertLen(set(names), len(names))

    def test_unbuilt_parts_are_refused(self):
        model = FullBatchModel(build_network())
        with self.assertRaisesRegex(ValueError, "needs a built network and optimizer"):
            TrainingState(model)
        model.compile(optimizer=GradientDescent(0.1), loss="mse")
        with self.assertRaisesRegex(ValueError, "needs a built network and optimizer"):
            TrainingState(model)


class RestoreTest(StateTestCase):
    def test_into_another_model_of_the_same_process(self):
        model, ema, state = build_training()
        train(model, ema, 0, 2)
        arrays = state.capture()
        other, other_ema, other_state = build_training(initial_seed=5)
        self.assertNotAllClose(other.network.weights[0].numpy(), arrays["network/000/dense/kernel"])
        other_state.restore(arrays)
        self.assert_equal_bits(other_state.capture(), arrays)
        self.assertEqual(other.steps_completed, 2)
        self.assertEqual(int(other_ema.updates.numpy()), 2)
        inputs = np.ones((4, 6), np.float32)
        self.assertAllEqual(other(inputs), model(inputs))

    def test_captures_are_copies(self):
        model, ema, state = build_training()
        train(model, ema, 0, 1)
        arrays = state.capture()
        kept = {name: array.copy() for name, array in arrays.items()}
        state.restore(arrays)
        train(model, ema, 1, 3)
        self.assert_equal_bits(arrays, kept)
        changed = [name for name, array in state.capture().items() if np.any(array != arrays[name])]
        self.assertEqual(changed, [name for name in NAMES if "learning_rate" not in name])

    def test_a_changed_learning_rate_is_part_of_the_state(self):
        model, _, state = build_training()
        model.optimizer.learning_rate = 0.025
        arrays = state.capture()
        other, _, other_state = build_training()
        other_state.restore(arrays)
        self.assertEqual(float(other.optimizer.learning_rate.numpy()), np.float32(0.025))

    def test_float64_and_bfloat16_come_back_through_files(self):
        for dtype in ("float64", "bfloat16"):
            with self.subTest(dtype):
                previous = keras.config.dtype_policy()
                keras.config.set_dtype_policy(dtype)
                try:
                    state, other_state = (build_training(initial_seed=seed)[2] for seed in (0, 5))
                finally:
                    keras.config.set_dtype_policy(previous)
                arrays = state.capture()
                self.assertEqual(arrays["network/000/dense/kernel"].dtype.name, dtype)
                path = save_checkpoint(self.folder(), step=0, epoch=0, arrays=arrays, metadata={})
                other_state.restore(load_checkpoint(path).arrays)
                self.assert_equal_bits(other_state.capture(), arrays)


class StrictnessTest(StateTestCase):
    def assert_refused(self, state: TrainingState, arrays: dict[str, np.ndarray], *parts: str) -> None:
        before = state.capture()
        with self.assertRaises(UserError) as caught:
            state.restore(arrays)
        self.assertNotIn("\n", str(caught.exception))
        for part in ("does not fit the model", "--output_dir", *parts):
            self.assertIn(part, str(caught.exception))
        self.assert_equal_bits(state.capture(), before)

    def setUp(self):
        super().setUp()
        model, ema, self.state = build_training(initial_seed=5)
        train(model, ema, 0, 1)
        self.arrays = build_training()[2].capture()

    def test_each_misfit_is_named_and_nothing_assigned(self):
        name = NAMES[-2]  # late: variables before it would have been assigned
        array = self.arrays[name]
        lacking = {n: a for n, a in self.arrays.items() if n != name}
        for arrays, message in (
            (lacking, f"it lacks {name}."),
            (self.arrays | {"network/008/dense/kernel": array}, "it alone has network/008/dense/kernel."),
            (self.arrays | {name: array[:2]}, f"it differs in {name} (float32 (2,) for float32 (3,))."),
            (self.arrays | {name: array.astype("f8")}, f"{name} (float64 (3,) for float32 (3,))."),
            (self.arrays | {name: array[None]}, f"{name} (float32 (1, 3) for float32 (3,))."),
            ({}, f"it lacks {', '.join(NAMES[:3])} and {len(NAMES) - 3} more."),
        ):
            with self.subTest(message):
                self.assert_refused(self.state, arrays, message)
        self.state.restore(self.arrays)
        self.assert_equal_bits(self.state.capture(), self.arrays)

    def test_states_of_other_makes_are_refused(self):
        for optimizer, units, averaged, message in (
            (None, 4, True, "network/000/dense/kernel (float32 (6, 4) for float32 (6, 5))"),
            (GradientDescent(0.1, momentum=0.0), 5, True, "it lacks optimizer/002"),
            (keras.optimizers.SGD(0.1, momentum=0.9), 5, True, "it alone has optimizer/000/sgd/iteration"),
            (None, 5, False, "it lacks ema/000/dense/kernel"),
        ):
            other = build_training(optimizer, units=units, averaged=averaged)[2].capture()
            self.assert_refused(self.state, other, message)

    def test_a_checkpoint_with_an_average_needs_one(self):
        self.assert_refused(
            build_training(averaged=False)[2], self.arrays, "it alone has ema/000/dense/kernel"
        )

    def test_averages_are_neither_saved_nor_overwritten_as_weights(self):
        _, ema, state = build_training()
        ema.update()
        with ema.applied():
            for action in (state.capture, lambda: state.restore(self.arrays)):
                with self.assertRaisesRegex(RuntimeError, "outside applied"):
                    action()


class ResumeTest(StateTestCase):
    def assert_continues(self, stops: tuple[int, ...], last: int, *, batches: dict, **settings) -> None:
        """Trains `last` epochs at a stretch, and from checkpoints at `stops`; the bits must be the same."""
        model, ema, state = build_training(**settings)
        train(model, ema, 0, last, **batches)
        expected, figures = state.capture(), model.last_step
        for stop in stops:
            folder = self.folder()
            model, ema, state = build_training(**settings)
            train(model, ema, 0, stop, **batches)
            step = model.steps_completed
            save_checkpoint(folder, step=step, epoch=stop, arrays=state.capture(), metadata={})
            # Another initial seed and other seeds in the dropout layer: nothing may be left of them.
            keras.utils.set_random_seed(stop)
            resumed, ema, state = build_training(initial_seed=5, **settings)
            checkpoint, _ = load_latest(folder)
            state.restore(checkpoint.arrays)
            train(resumed, ema, stop, last, **batches)
            self.assert_equal_bits(state.capture(), expected)
            for name in ("step", "loss", "penalised_objective", "gradient_norm", "update_norm"):
                self.assertEqual(resumed.last_step[name], figures[name])

    def test_continues_bit_for_bit_as_if_never_interrupted(self):
        self.assert_continues((1, 3), 6, batches={})

    def test_so_it_does_with_the_full_gradient_penalty_on_shuffled_update_batches(self):
        self.assert_continues(
            (2,),
            4,
            batches={"batch_size": 9, "shuffle": True},  # 9, 9 and 4 of the 22 samples
            micro_batch_size=4,
            penalty="forward_differences",
            penalty_strength=0.5,
            full_gradient_penalty_strength=0.3,
            penalty_warmup_epochs=3,
            seed=11,
        )


class MirroredTest(StateTestCase):
    def test_two_replicas_are_saved_and_restored_and_go_on_in_one(self):
        folder = self.folder()
        command = [sys.executable, "-m", "tests.training.two_replicas", folder]
        process = subprocess.run(
            command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}, capture_output=True, text=True
        )
        self.assertEqual(process.returncode, 0, process.stderr)
        found = json.loads(process.stdout.splitlines()[-1])
        self.assertEqual(set(found.pop("copies")), {2})
        self.assertTrue(found.pop("averages differ from weights"))
        self.assertTrue(found.pop("trained on"))
        self.assertEqual(found, {f"differing {when}": [] for when in (
            "before", "restored", "applied", "after applied", "continued"
        )})  # fmt: skip
        # One replica in another process goes on from there; sums over replicas are rounded otherwise.
        model, ema, state = build_training(initial_seed=5)
        state.restore(load_checkpoint(f"{folder}/step-00000002").arrays)
        train(model, ema, 2, 4)
        expected = load_checkpoint(f"{folder}/step-00000004").arrays
        for name, array in state.capture().items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


if __name__ == "__main__":
    tf.test.main()
