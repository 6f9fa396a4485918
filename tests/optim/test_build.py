"""What every optimizer of the registry does, by itself; `conformance` has them train."""

from typing import Any, NamedTuple, cast

import keras
import numpy as np
import tensorflow as tf

from tests.float64 import Float64Case
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.descent import At
from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.methods.rule import RuleSettings
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.settings import OptimizerConfig

BY_GRADIENTS = [name for name, kind in OPTIMIZERS.items() if not kind.asks_objective]
ASKING = [name for name in OPTIMIZERS if name not in BY_GRADIENTS]


def build(name: str, learning_rate, **settings) -> keras.optimizers.Optimizer:
    """The optimizer of a name; without weight decay unless one is given."""
    chosen = OptimizerConfig.component("optimizer", name, **({"weight_decay": 0.0} | settings))
    return chosen.build(learning_rate)


def minimise(optimizer: keras.optimizers.Optimizer, steps: int, variables=None) -> list[keras.Variable]:
    """Minimises `sum_v |v - 3|^2 / 2` from zero in one compiled function."""
    variables = variables or [keras.Variable(np.zeros(2)), keras.Variable(np.zeros((2, 2)), name="bias")]
    optimizer.build(variables)

    @tf.function
    def step():
        optimizer.apply([tf.convert_to_tensor(v) - 3 for v in variables], variables)

    for _ in range(steps):
        step()
    return variables


class ConformanceTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        keras.config.set_floatx("float64")
        self.addCleanup(keras.config.set_floatx, "float32")

    def test_state_takes_the_dtype_of_the_variables(self):
        for name in BY_GRADIENTS:
            optimizer = build(name, 0.1)
            minimise(optimizer, 1, [keras.Variable(np.zeros(2), dtype="float32")])
            state = [v.dtype for v in optimizer.variables if tuple(v.shape) == (2,)]
            keeps = set() if name in ("sign", "normalized") else {"float32"}
            self.assertEqual(set(state), keeps, name)

    def test_zero_rate_moves_nothing_but_the_state(self):
        for name in BY_GRADIENTS:
            variables = minimise(build(name, 0.0, weight_decay=0.1), 3)
            self.assertAllEqual(variables[1], np.zeros((2, 2)), name)

    def test_follows_a_schedule(self):
        for name in BY_GRADIENTS:
            schedule = build_schedule(
                "linear", peak=0.1, warmup_epochs=0, horizon_epochs=4, steps_per_epoch=1
            )
            # LARS has the rate within its momentum, and rolls on.
            without = {"optimizer_options": "momentum=0.0"} if name == "lars" else {}
            early, late = (minimise(build(name, schedule, **without), n)[0] for n in (4, 9))
            self.assertNotAllClose(early, np.zeros(2))
            self.assertAllEqual(early, late, name)

    def test_weight_decay_pulls_towards_zero_and_can_be_excluded(self):
        for name in BY_GRADIENTS:
            optimizer, excluding = (build(name, 0.01, weight_decay=0.5) for _ in range(2))
            excluding.exclude_from_weight_decay(var_names=["bias"])
            # One variable each: methods that take a norm over all have them depend on each other.
            decayed, excluded, plain = (
                minimise(each, 50, [keras.Variable(np.ones(2), name="bias")])[0]
                for each in (optimizer, excluding, build(name, 0.01))
            )
            self.assertLess(float(decayed[0]), float(excluded[0]), name)
            self.assertAllClose(excluded, plain, rtol=1e-15, atol=0, msg=name)

    def test_serialisation_round_trip_trains_the_same(self):
        schedule = build_schedule("cosine", peak=0.1, warmup_epochs=2, horizon_epochs=9, steps_per_epoch=2)
        for name in BY_GRADIENTS:
            for rate in (0.05, schedule):
                own = {"momentum": 0.7, "nesterov": False} if name == "gradient_descent" else {}
                optimizer = build(name, rate, weight_decay=0.01, **own)
                restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
                self.assertEqual(type(restored), type(optimizer))
                self.assertEqual(restored.get_config(), optimizer.get_config())
                self.assertAllEqual(minimise(restored, 5)[0], minimise(optimizer, 5)[0])


class Point(NamedTuple):
    """Loss and gradient."""

    loss: tf.Tensor
    gradient: list[np.ndarray]
    penalty: tf.Tensor
    means: None = None


class Quadratic:
    """`sum_v |v - 3|^2 / 2`, as methods ask an objective."""

    penalty = None

    def __init__(self, variables: list[keras.Variable]):
        self.variables = variables
        self.evaluations = 0.0

    def theta(self) -> list[np.ndarray]:
        return [v.numpy() for v in self.variables]

    def value_and_gradient(self, theta: list[np.ndarray], penalty: None = None) -> Point:
        self.evaluations += 1
        gradient = [np.asarray(leaf) - 3 for leaf in theta]
        loss = tf.constant(sum(float(np.sum(g**2)) / 2 for g in gradient), tf.float64)
        return Point(loss, gradient, tf.zeros([], tf.float64))

    def loss(self, theta: list[np.ndarray]) -> float:
        self.evaluations += 1 / 3
        return sum(float(np.sum((np.asarray(leaf) - 3) ** 2)) / 2 for leaf in theta)

    def hvps(
        self, theta: list[np.ndarray], directions: list[list[np.ndarray]], *of: str | None
    ) -> list[list[np.ndarray]]:
        self.evaluations += 2 * len(directions)
        return directions

    def hessian_derivative(
        self, theta: list[np.ndarray], u: list[np.ndarray], v: list[np.ndarray]
    ) -> list[np.ndarray]:
        self.evaluations += 4
        return [np.zeros_like(leaf) for leaf in theta]


def ask(
    optimizer: ObjectiveOptimizer, steps: int, variables: list[keras.Variable] | None = None
) -> list[keras.Variable]:
    """Minimises it from zero, step by step."""
    variables = variables or [keras.Variable(np.zeros(2)), keras.Variable(np.zeros((2, 2)), name="bias")]
    optimizer.build(variables)
    descent, objective = optimizer.descent(variables), Quadratic(variables)
    assert descent.asks_objective
    for _ in range(steps):
        point = objective.value_and_gradient(descent.point or objective.theta())
        before = objective.evaluations
        made = descent.step(At(point.loss, point.loss, point.gradient), cast(Any, objective))
        assert made.evaluations == objective.evaluations - before
    return variables


class AskingConformanceTest(Float64Case):
    """Methods that ask the objective."""

    def made(self, name: str, **settings: Any) -> ObjectiveOptimizer:
        if issubclass(OPTIMIZERS[name], RuleSettings):
            settings = {"weight_decay": 0.0} | settings
        optimizer = OptimizerConfig.component("optimizer", name, **settings).build(0.1)
        self.assertIsInstance(optimizer, ObjectiveOptimizer)
        return optimizer

    def test_minimises_a_quadratic_and_counts_its_steps(self):
        for name in ASKING:
            optimizer = self.made(name)
            variables = ask(optimizer, 100)
            self.assertAllClose(variables[0], [3.0, 3.0], atol=1e-3, msg=name)
            self.assertEqual(optimizer.iterations.numpy(), 100)
            self.assertEqual(variables[0].dtype, "float64")

    def test_serialisation_round_trip_trains_the_same(self):
        for name in ASKING:
            optimizer = self.made(name)
            restored = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
            self.assertEqual(type(restored), type(optimizer))
            self.assertEqual(restored.get_config(), optimizer.get_config())
            self.assertAllEqual(ask(restored, 5)[0], ask(optimizer, 5)[0])

    def test_state_restored_continues_the_same(self):
        for name in ASKING:
            first, second = self.made(name), self.made(name)
            halfway = [keras.Variable(v, dtype="float32") for v in ask(first, 5, single())]
            second.build(halfway)
            second.set_weights([v.numpy() for v in first.variables])
            self.assertAllEqual(ask(second, 3, halfway)[0], ask(self.made(name), 8, single())[0], name)

    def test_a_gradient_alone_is_refused(self):
        for name in ASKING:
            optimizer, variables = self.made(name), single()
            optimizer.build(variables)
            with self.assertRaisesRegex(UserError, "asks the objective"):
                optimizer.apply_gradients([(tf.ones(2), variables[0])])


def single() -> list[keras.Variable]:
    """Zeros in single precision."""
    return [keras.Variable(np.zeros(2), dtype="float32")]


class SettingsTest(tf.test.TestCase):
    def test_settings_arrive(self):
        config = build("gradient_descent", 0.5, momentum=0.8, nesterov=False, weight_decay=0.25).get_config()
        self.assertEqual(
            config,
            {
                "name": "gradient_descent",
                "learning_rate": 0.5,
                "momentum": 0.8,
                "nesterov": False,
                "weight_decay": 0.25,
            },
        )
        adamw = build("adamw", 0.5, weight_decay=0.25)
        self.assertIsInstance(adamw, keras.optimizers.AdamW)
        found = [
            adamw.get_config()[key]
            for key in ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon")
        ]
        self.assertEqual(found, [0.5, 0.25, 0.9, 0.999, 1e-8])

    def test_an_unknown_name_is_refused_with_the_known_ones(self):
        with self.assertRaisesRegex(
            UserError, "--optimizer=adagrad: accepted are gradient_descent, adamw, sign, "
        ):
            build("adagrad", 0.1)

    def test_settings_of_another_optimizer_are_refused(self):
        with self.assertRaisesRegex(UserError, "--momentum=0.5 has no effect with --optimizer=adamw"):
            build("adamw", 0.1, momentum=0.5)
        with self.assertRaisesRegex(TypeError, "optimizer 'adamw' has no setting learning_rate"):
            OptimizerConfig.component("optimizer", "adamw", learning_rate=0.5)


if __name__ == "__main__":
    tf.test.main()
