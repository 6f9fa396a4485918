"""The Keras schedule against the Python rates it tabulates."""

import math

import keras
import tensorflow as tf

from tf_fullbatch.optim.keras_schedule import EpochSchedule, build_schedule
from tf_fullbatch.optim.schedules.registry import SCHEDULES
from tf_fullbatch.optim.settings import OptimizerConfig


def schedule(name: str, **changes) -> EpochSchedule:
    """Warmup 3, horizon 11.5, four steps per epoch, but for the changes."""
    arguments = {"peak": 0.3, "warmup_epochs": 3, "horizon_epochs": 11.5, "steps_per_epoch": 4}
    if name == "steps":
        arguments["decay_epochs"] = (5, 9.5)
    return build_schedule(name, **(arguments | changes))


class EpochScheduleTest(tf.test.TestCase):
    def test_equals_python_in_float64_and_is_constant_within_an_epoch(self):
        for name in SCHEDULES:
            built = schedule(name)
            compiled = tf.function(built.rate)
            for step in range(4 * 20):
                rate = compiled(tf.constant(step, tf.int64))
                self.assertEqual(rate.dtype, tf.float64)
                self.assertEqual(float(rate), built.rate_at_epoch(step // 4), (name, step))

    def test_far_beyond_the_end(self):
        self.assertEqual(float(schedule("constant")(10**12)), float(tf.constant(0.3)))
        self.assertEqual(float(schedule("cosine")(10**12)), 0.0)

    def test_call_is_in_floatx(self):
        built = schedule("cosine")
        self.assertEqual(built(17).dtype, tf.float32)
        self.assertEqual(float(built(17)), float(tf.constant(built.rate_at_epoch(4), tf.float32)))
        keras.config.set_floatx("float64")
        self.addCleanup(keras.config.set_floatx, "float32")
        self.assertEqual(float(built(17)), built.rate_at_epoch(4))

    def test_takes_the_iterations_of_an_optimizer(self):
        optimizer = keras.optimizers.SGD(schedule("linear"))
        optimizer.iterations.assign(6)
        self.assertAllClose(optimizer.learning_rate, 0.2)

    def test_serialisation_round_trip(self):
        for name in SCHEDULES:
            config = keras.optimizers.schedules.serialize(schedule(name))
            restored = keras.optimizers.schedules.deserialize(config)
            self.assertIsInstance(restored, EpochSchedule)
            self.assertEqual(restored.get_config(), schedule(name).get_config())
            self.assertEqual(restored.rates, schedule(name).rates)

    def test_settings_of_another_schedule_are_read_at_their_defaults(self):
        # As models saved by earlier versions have them.
        saved = schedule("cosine").get_config() | {"decay_epochs": (), "decay_factor": 0.1}
        self.assertEqual(EpochSchedule.from_config(saved).rates, schedule("cosine").rates)

    def test_round_trip_through_json(self):
        text = keras.saving.serialize_keras_object(schedule("steps"))
        restored = keras.saving.deserialize_keras_object(tf.nest.map_structure(lambda leaf: leaf, text))
        self.assertEqual(restored.rates, schedule("steps").rates)

    def test_appended_passes_have_their_own_schedule(self):
        config = OptimizerConfig(
            learning_rate=0.4, schedule_epochs=8, extend_epochs=(3, 2), extend_learning_rate=(0.1, 0.2),
            extend_warmup_epochs=(0, 2), extend_schedule=("linear", "constant"),
        )  # fmt: skip
        built = EpochSchedule(config.rates(128, epochs=4), steps_per_epoch=2)
        own = [0.4 * (1 + math.cos(math.pi * t / 8)) / 2 for t in range(4)]
        expected = [*own, 0.1, 0.2 / 3, 0.1 / 3, 0.1, 0.2, 0.2, 0.2]
        self.assertAllClose([built.rate(2 * t + 1) for t in range(11)], expected, rtol=1e-15, atol=1e-16)
        self.assertEqual(float(built.rate(10**12)), 0.2)
        restored = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(built))
        self.assertEqual(restored.rates, built.rates)

    def test_no_steps_in_an_epoch_is_refused(self):
        with self.assertRaisesRegex(ValueError, "steps_per_epoch is 0"):
            schedule("cosine", steps_per_epoch=0)


if __name__ == "__main__":
    tf.test.main()
