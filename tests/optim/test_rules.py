"""Update rules against the written recursions of their papers, in float64, and what all of them have in common."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim import recursions
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.methods.rule import RuleSettings
from tf_fullbatch.optim.rules.adai import Adai
from tf_fullbatch.optim.rules.lamb import LAMB
from tf_fullbatch.optim.rules.lars import LARC, LARS
from tf_fullbatch.optim.rules.muon import Muon, orthogonalized
from tf_fullbatch.optim.rules.normalized import NormalizedDescent
from tf_fullbatch.optim.rules.positive_negative_momentum import PNM, AdaPNM
from tf_fullbatch.optim.rules.sign import SignDescent
from tf_fullbatch.optim.rules.update_rule import UpdateRule

SHAPES = ((3, 4), (2, 2, 3, 5), (4,), (), (5, 2))
RATES = (0.1, 0.1, 0.05, 0.02, 0.02)


class Row(NamedTuple):
    rule: type[UpdateRule]
    recursion: type[recursions.Recursion]
    options: dict[str, Any]


ROWS = (
    Row(SignDescent, recursions.Sign, {"momentum": 0.0}),
    Row(SignDescent, recursions.Sign, {"momentum": 0.9}),
    Row(NormalizedDescent, recursions.Normalized, {"momentum": 0.0}),
    Row(NormalizedDescent, recursions.Normalized, {"momentum": 0.9}),
    Row(LARS, recursions.LARS, {"momentum": 0.9, "trust_coefficient": 0.3}),
    Row(LARC, recursions.LARC, {"momentum": 0.8, "trust_coefficient": 0.02}),
    Row(LARC, recursions.LARC, {"momentum": 0.8, "trust_coefficient": 0.9}),
    Row(LAMB, recursions.LAMB, {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6}),
    Row(Adai, recursions.Adai, {"beta_0": 0.1, "beta_2": 0.99, "epsilon": 1e-3}),
    Row(Adai, recursions.Adai, {"beta_0": 0.6, "beta_2": 0.9, "epsilon": 1e-2, "decoupled": True}),
    Row(PNM, recursions.PNM, {"beta_1": 0.9, "beta_0": 1.0}),
    Row(PNM, recursions.PNM, {"beta_1": 0.5, "beta_0": 0.3}),
    Row(
        AdaPNM,
        recursions.AdaPNM,
        {"beta_1": 0.9, "beta_2": 0.99, "beta_0": 1.0, "epsilon": 1e-8, "amsgrad": True},
    ),
    Row(
        AdaPNM,
        recursions.AdaPNM,
        {"beta_1": 0.9, "beta_2": 0.9, "beta_0": 0.5, "epsilon": 1e-8, "amsgrad": False},
    ),
    Row(
        Muon,
        recursions.Muon,
        {"momentum": 0.95, "nesterov": True, "newton_schulz_steps": 5, "adam_rate": 0.1},
    ),
    Row(
        Muon,
        recursions.Muon,
        {"momentum": 0.5, "nesterov": False, "newton_schulz_steps": 3, "adam_rate": 1.0},
    ),
)


def weights() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape) for shape in SHAPES]


def gradients(steps: int = len(RATES)) -> list[list[np.ndarray]]:
    generator = np.random.default_rng(1)
    return [[generator.normal(size=shape) * 3.0**k for shape in SHAPES] for k in range(steps)]


def schedule(step: tf.Tensor) -> tf.Tensor:
    return tf.gather(tf.constant(RATES, tf.float64), step)


class OfTheStep(keras.optimizers.schedules.LearningRateSchedule):
    """`RATES`."""

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return schedule(tf.cast(step, tf.int32))

    def get_config(self) -> dict[str, Any]:
        return {}


def followed(rule: UpdateRule, *, compiled: bool = False) -> list[np.ndarray]:
    """The weights after a step with each gradient."""
    variables = [keras.Variable(w, name=f"w{i}") for i, w in enumerate(weights())]
    rule.build(variables)

    def apply(gradient: list[tf.Tensor]) -> None:
        rule.apply(gradient, variables)

    apply = tf.function(apply) if compiled else apply
    for gradient in gradients():
        apply([tf.constant(g) for g in gradient])
    return [v.numpy() for v in variables]


class RecursionTest(Float64Case):
    @parameterized.product(row=ROWS, decay=(0.0, 0.03), compiled=(False, True))
    def test_is_the_papers(self, row: Row, decay: float, compiled: bool) -> None:
        rule = row.rule(OfTheStep(), weight_decay=decay, **row.options)
        found = followed(rule, compiled=compiled)
        expected, recursion = weights(), row.recursion(decay, **row.options)
        for gradient, rate in zip(gradients(), RATES, strict=True):
            expected = recursion.step(expected, gradient, rate)
        for a, b in zip(found, expected, strict=True):
            self.assertAllClose(a, b, rtol=1e-12, atol=1e-12)

    @parameterized.parameters(*ROWS)
    def test_its_decay_leaves_out_what_is_excluded(self, *row: Any) -> None:
        made = Row(*row)
        rule = made.rule(OfTheStep(), weight_decay=0.5, **made.options)
        variables = [keras.Variable(np.full((2, 2), 2.0), name=name) for name in ("kernel", "bias")]
        rule.build(variables)
        rule.exclude_from_weight_decay(var_names=["bias"])
        rule.apply([tf.zeros((2, 2), tf.float64)] * 2, variables)
        kernel, bias = (v.numpy() for v in variables)
        self.assertAllEqual(bias, np.full((2, 2), 2.0))
        self.assertTrue((kernel < 2.0).all())


class OrthogonalTest(Float64Case):
    def test_singular_vectors_stay_and_values_come_near_one(self) -> None:
        for shape in ((6, 4), (4, 6), (5, 5)):
            matrix = np.random.default_rng(0).normal(size=shape)
            found = orthogonalized(tf.constant(matrix), 5).numpy()
            left, _, right = np.linalg.svd(matrix, full_matrices=False)
            values = np.diag(left.T @ found @ right.T)
            self.assertAllClose(left @ np.diag(values) @ right, found, rtol=0, atol=1e-12)
            self.assertTrue(((values > 0.6) & (values < 1.3)).all(), values)


class InCommonTest(Float64Case):
    @parameterized.parameters(*ROWS)
    def test_goes_on_from_what_it_kept_with_the_same_bits(self, *row: Any) -> None:
        made = Row(*row)
        rules = [made.rule(OfTheStep(), weight_decay=0.01, **made.options) for _ in range(2)]
        whole = followed(rules[0])
        first, rest = rules[1], made.rule(OfTheStep(), weight_decay=0.01, **made.options)
        variables = [keras.Variable(w, name=f"w{i}") for i, w in enumerate(weights())]
        for rule, some in ((first, gradients()[:3]), (rest, gradients()[3:])):
            rule.build(variables)
            if rule is rest:
                for mine, its in zip(rest.variables, first.variables, strict=True):
                    mine.assign(its)
            for gradient in some:
                rule.apply([tf.constant(g) for g in gradient], variables)
        for a, b in zip(whole, variables, strict=True):
            self.assertAllEqual(a, b.numpy())

    @parameterized.parameters(*ROWS)
    def test_is_saved_and_made_again(self, *row: Any) -> None:
        made = Row(*row)
        rule = made.rule(0.25, weight_decay=0.125, **made.options)
        again = keras.optimizers.deserialize(keras.optimizers.serialize(rule))
        self.assertIs(type(again), made.rule)
        self.assertEqual(again.get_config(), rule.get_config())
        self.assertAllClose(followed(again), followed(made.rule(0.25, weight_decay=0.125, **made.options)))

    @parameterized.parameters(*ROWS)
    def test_nothing_moves_and_nothing_is_nan_without_a_gradient(self, *row: Any) -> None:
        made = Row(*row)
        rule = made.rule(0.25, **made.options)
        variables = [keras.Variable(w) for w in weights()]
        for _ in range(3):
            rule.apply([tf.zeros(shape, tf.float64) for shape in SHAPES], variables)
        for a, b in zip(variables, weights(), strict=True):
            self.assertAllEqual(a.numpy(), b)

    @parameterized.parameters(*ROWS)
    def test_a_rate_of_zero_is_one(self, *row: Any) -> None:
        made = Row(*row)
        variables = [keras.Variable(w) for w in weights()]
        made.rule(0.0, **made.options).apply([tf.constant(g) for g in gradients()[0]], variables)
        for a, b in zip(variables, weights(), strict=True):
            self.assertAllEqual(a.numpy(), b)

    def test_refuses(self) -> None:
        rule = NormalizedDescent(0.1)
        variables = [keras.Variable(1.0), keras.Variable(2.0)]
        rule.build(variables)
        with self.assertRaisesRegex(ValueError, "was built for 2 variables"):
            rule.apply([tf.constant(1.0)], variables[:1])
        with self.assertRaisesRegex(ValueError, "was built for 2 variables"):
            rule.apply([tf.constant(1.0)] * 2, variables[::-1])
        with self.assertRaisesRegex(ValueError, "NormalizedDescent got clipnorm=1.0"):
            NormalizedDescent(0.1, clipnorm=1.0)
        with self.assertRaisesRegex(ValueError, "unknown argument mommentum"):
            NormalizedDescent(0.1, mommentum=1.0)
        for made in (
            lambda: SignDescent(0.1, momentum=1.0),
            lambda: LARS(0.1, trust_coefficient=0.0),
            lambda: LAMB(0.1, beta_2=-0.1),
            lambda: Adai(0.1, weight_decay=math.nan),
            lambda: PNM(0.1, beta_0=-1.0),
            lambda: Muon(0.1, newton_schulz_steps=0),
        ):
            with self.assertRaises(UserError):
                made()


class SettingsTest(Float64Case):
    @parameterized.parameters(*(name for name, kind in OPTIMIZERS.items() if issubclass(kind, RuleSettings)))
    def test_the_defaults_of_flags_are_the_rules_own(self, name: str) -> None:
        settings = OPTIMIZERS[name](weight_decay=0.0)
        built = settings.build(0.1)
        expected = type(built)(0.1)
        own = {"name", "decoupled"} if name == "adaiw" else set()
        for key, value in expected.get_config().items():
            if key not in own:
                self.assertEqual(built.get_config()[key], value, key)
        self.assertEqual(built.name, name)

    def test_options_are_typed_and_refused(self) -> None:
        found = OPTIMIZERS["muon"](optimizer_options="momentum=0.5,head=true").build(0.1)
        self.assertEqual((found.momentum, found.head), (0.5, True))
        for options, words in (
            ("momentun=0.5", "muon has no option 'momentun'; it has momentum, nesterov"),
            ("momentum=1.5", "of muon: momentum=1.5"),
            ("momentum=fast", "of muon: momentum=fast"),
            ("newton_schulz_steps=0", "newton_schulz_steps=0"),
        ):
            with self.assertRaisesRegex(UserError, words):
                OPTIMIZERS["muon"](optimizer_options=options)
