"""Thresholds against the optimizers themselves, run in float64 on quadratics."""

import math

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tf_fullbatch.optim.descent import At
from tf_fullbatch.optim.keras_adapter import KerasDescent
from tf_fullbatch.optim.rules.adai import Adai
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.positive_negative_momentum import PNM, AdaPNM
from tf_fullbatch.optim.stability import stability_of

SETTINGS = 20
NEAR = 1e-6
STEPS = 300  # transients of momentum 0.9 are then 0.9**300 = 2e-14
HALF = 0.5  # of the mean of squares, which tests put back before each step
CLIPPED = 0.5
NAMES = (
    "GradientDescent",
    "GradientDescent, Nesterov",
    "SGD",
    "SGD, Nesterov",
    "Adam",
    "AdamW",
    "RMSprop",
    "PNM",
    "AdaPNM",
    "Adai",
    "AdaiW",
)


def made(name, rate, momentum, decay):
    """An optimizer; the weight of PNM's negative momentum follows from its positive one's."""
    negative = 10 * momentum % 2
    match name:
        case "PNM":
            return PNM(rate, momentum, negative, weight_decay=decay)
        case "AdaPNM":
            return AdaPNM(rate, momentum, HALF, negative, amsgrad=False, weight_decay=decay)
        case "Adai" | "AdaiW":  # inertias above 0 and up to about 0.9 with the squares of `frozen`
            return Adai(rate, 0.6 - 0.4 * momentum, HALF, weight_decay=decay, decoupled=name == "AdaiW")
        case "GradientDescent":
            return GradientDescent(rate, momentum, nesterov=False, weight_decay=decay)
        case "GradientDescent, Nesterov":
            return GradientDescent(rate, momentum, nesterov=True, weight_decay=decay)
        case "SGD":
            return keras.optimizers.SGD(rate, momentum, weight_decay=decay)
        case "SGD, Nesterov":
            return keras.optimizers.SGD(rate, momentum, nesterov=True, weight_decay=decay)
        case "Adam":
            return keras.optimizers.Adam(rate, beta_1=momentum, beta_2=HALF)
        case "AdamW":
            return keras.optimizers.AdamW(rate, weight_decay=decay, beta_1=momentum, beta_2=HALF)
        case _:
            return keras.optimizers.RMSprop(rate, rho=HALF, momentum=momentum, weight_decay=decay)


def frozen(optimizer, generator):
    """Gives an optimizer a past of so many steps that corrections are over, and squares of its own.

    Returns:
        Puts the squares back: called before each step with tiny gradients, it keeps denominators as they are.
    """
    optimizer.iterations.assign(10**18)
    squares = [v for v in optimizer.variables if v.name.endswith("_velocity")]
    values = [generator.uniform(0.5, 2, v.shape) for v in squares]
    for kept, value in zip(squares, values, strict=True):
        kept.assign(HALF * value)  # as a step leaves them
    products = [v for v in optimizer.variables if v.name.endswith("_inertias")]
    left = [generator.uniform(0, 0.5, v.shape) for v in products]
    for kept, value in zip(products, left, strict=True):
        kept.assign(value)
    before = left
    if products:
        mean = np.mean(np.concatenate([np.ravel(v) for v in values]))
        before = [p / (1 - optimizer.beta_0 * v / mean) for p, v in zip(left, values, strict=True)]

    def put_back():
        for kept, value in zip([*squares, *products], [*values, *before], strict=True):
            kept.assign(value)

    return put_back


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


def diagonal(found, variables):
    if found.preconditioner is None:
        return np.ones(sum(int(np.prod(v.shape)) for v in variables))
    return np.concatenate([np.ravel(p) for p in found.preconditioner])


class GrowthTest(Float64Case):
    """Variables of two independent quadratics: one just below the threshold, one just above."""

    def growth(self, steps, variables):
        """`|p_t / p_t-2|^1/2` after the transients, `[variables, 2]`; all take their steps in one graph."""

        def points():
            return tf.stack([v.value for v in variables])

        def make_steps(i, older, old, now):
            del older
            for step in steps:
                step()
            return i + 1, old, now, points()

        @tf.function(autograph=False)
        def run():
            start = (0, points(), points(), points())
            _, older, _, now = tf.while_loop(lambda i, *_: i < STEPS, make_steps, start)
            return tf.sqrt(tf.abs(now / older))

        return run().numpy()

    @parameterized.parameters(*NAMES)
    def test_growth_crosses_one_at_the_threshold(self, name):
        generator = np.random.default_rng(NAMES.index(name))
        steps, variables = [], []
        for i in range(SETTINGS):
            rate, momentum = 10 ** generator.uniform(-2, 0), generator.uniform(0, 0.9)
            decay, factor = generator.uniform(0, 0.5) / rate, generator.uniform(0.1, 1) if i % 2 else 1.0
            variable = keras.Variable(np.full(2, 1e-9))  # so small that squares of gradients are nothing
            optimizer = made(name, rate, momentum, decay)
            optimizer.build([variable])
            put_back = frozen(optimizer, generator)
            found = stability_of(optimizer, rate, [variable], factor)
            bounds = found.threshold * diagonal(found, [variable])
            curvatures = tf.constant(bounds * [1 - NEAR, 1 + NEAR])

            def step(o=optimizer, v=variable, h=factor * curvatures, put_back=put_back):
                put_back()
                o.apply([h * v.value], [v])

            steps.append(step)
            variables.append(variable)
        for below, above in self.growth(steps, variables):
            self.assertLess(below, 1)
            self.assertGreater(above, 1)


class PreconditionerTest(Float64Case):
    @parameterized.parameters("adam", "adamw", "rmsprop")
    def test_is_what_the_last_step_divided_by(self, name):
        """`update = -lr P^-1 m`, m the mean of gradients, at each of the first steps; RMSprop: the gradient."""
        generator = np.random.default_rng(0)
        variables = [keras.Variable(generator.normal(size=s)) for s in ((2, 3), (4,))]
        optimizer = {
            "adam": lambda: keras.optimizers.Adam(0.1, 0.75, 0.9375, epsilon=1e-3),
            "adamw": lambda: keras.optimizers.AdamW(0.1, 0.0, 0.75, 0.9375, epsilon=1e-3),
            "rmsprop": lambda: keras.optimizers.RMSprop(0.1, epsilon=1e-3),
        }[name]()
        means = [np.zeros(v.shape) for v in variables]
        for _ in range(5):
            gradients = [generator.normal(size=v.shape) for v in variables]
            before = [v.numpy() for v in variables]
            optimizer.apply([tf.constant(g) for g in gradients], variables)
            b = 0.0 if name == "rmsprop" else 0.75  # Keras rounds powers of others to float32
            means = [b * m + (1 - b) * g for m, g in zip(means, gradients, strict=True)]
            divided_by = stability_of(optimizer, 0.1, variables).preconditioner
            for v, old, m, p in zip(variables, before, means, divided_by, strict=True):
                np.testing.assert_allclose(v.numpy() - old, -0.1 * m / p.numpy(), rtol=1e-12, atol=1e-15)

    @parameterized.parameters(True, False)
    def test_of_adapnm_is_what_it_divides_pnms_step_by(self, amsgrad):
        generator = np.random.default_rng(0)
        values = [generator.normal(size=s) for s in ((2, 3), (4,))]
        found, plain = ([keras.Variable(v) for v in values] for _ in range(2))
        optimizer, pnm = AdaPNM(0.1, 0.9, 0.7, 0.4, epsilon=1e-3, amsgrad=amsgrad), PNM(0.1, 0.9, 0.4)
        for size in (3.0, 1.0, 0.1, 2.0):
            gradients = [tf.constant(size * generator.normal(size=v.shape)) for v in values]
            before = [v.numpy() for v in (*found, *plain)]
            optimizer.apply(gradients, found)
            pnm.apply(gradients, plain)
            moved = [v.numpy() - old for v, old in zip((*found, *plain), before, strict=True)]
            divided_by = stability_of(optimizer, 0.1, found).preconditioner
            for mine, undivided, p in zip(moved[:2], moved[2:], divided_by, strict=True):
                np.testing.assert_allclose(mine, undivided / p.numpy(), rtol=1e-12, atol=1e-15)

    def test_follows_the_order_that_is_asked_for(self):
        variables = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
        for optimizer in (keras.optimizers.RMSprop(0.1), AdaPNM(0.1)):
            optimizer.apply([tf.ones(2, tf.float64), tf.zeros(3, tf.float64)], variables)
            found = stability_of(optimizer, 0.1, variables[::-1])
            self.assertEqual([3, 2], [p.shape[0] for p in found.preconditioner])

    def test_rate_factors_are_a_preconditioner_of_their_inverses(self):
        variables = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
        found = stability_of(GradientDescent(0.1, 0.9), 0.1, variables, rate_factors=[0.5, 0.0])
        np.testing.assert_allclose([2, 2], found.preconditioner[0].numpy(), rtol=1e-15)
        self.assertTrue(np.all(np.isinf(found.preconditioner[1].numpy())))
        self.assertIsNone(
            stability_of(GradientDescent(0.1), 0.1, variables, rate_factors=[1, 1]).preconditioner
        )


class WholeHessianTest(Float64Case):
    """Rates, decays and denominators of several variables under a Hessian that commutes with none of them."""

    def map_of_a_step(self, optimizer, variables, put_back, hessian, factors):
        """The matrix of a step on (weights, momenta): its columns are images of unit vectors."""
        descent = KerasDescent(optimizer, variables, factors)
        state = [*variables, *(v for v in optimizer.variables if "momentum" in v.name)]
        sizes = [int(np.prod(v.shape)) for v in state]
        weights = len(hessian)
        columns = []
        for unit in np.eye(sum(sizes)) * 1e-9:
            put_back()
            for variable, part in zip(state, np.split(unit, np.cumsum(sizes)[:-1]), strict=True):
                variable.assign(part.reshape(variable.shape))
            gradient = np.split(hessian @ unit[:weights], np.cumsum(sizes)[: len(variables) - 1])
            descent.step(At(tf.zeros([]), tf.zeros([]), [tf.constant(g) for g in gradient]), None)
            columns.append(np.concatenate([np.ravel(v.numpy()) for v in state]) * 1e9)
        return np.stack(columns, 1)

    @parameterized.parameters(*NAMES)
    def test_the_step_expands_from_the_threshold_on(self, name):
        generator = np.random.default_rng(NAMES.index(name))
        for excluded in (False, True):
            variables = [
                keras.Variable(np.zeros(3)),
                keras.Variable(np.zeros(2)),
                keras.Variable(np.zeros(2)),
            ]
            optimizer, factors = made(name, 0.1, 0.7, 2.0), [1.0, 0.3, 2.0]
            if excluded:
                optimizer.exclude_from_weight_decay(var_list=[variables[0]])
            optimizer.build(variables)
            put_back = frozen(optimizer, generator)
            found = stability_of(optimizer, 0.1, variables, CLIPPED, factors)
            root = np.sqrt(diagonal(found, variables))
            matrix = generator.normal(size=(7, 7))
            hessian = matrix @ matrix.T
            hessian *= found.threshold / np.linalg.eigvalsh(hessian / np.outer(root, root)).max()
            radii = [
                radius(self.map_of_a_step(optimizer, variables, put_back, CLIPPED * h, factors))
                for h in ((1 - NEAR) * hessian, (1 + NEAR) * hessian)
            ]
            self.assertLess(radii[0], 1)
            self.assertGreater(radii[1], 1)


class NotDerivedTest(Float64Case):
    def setUp(self):
        super().setUp()
        self.variables = [keras.Variable(np.ones(2))]

    def stepped(self, optimizer):
        optimizer.apply([tf.ones(2, tf.float64)], self.variables)
        return optimizer

    @parameterized.parameters(
        (lambda: keras.optimizers.Adam(0.1, amsgrad=True),),
        (lambda: keras.optimizers.Adamax(0.1),),
        (lambda: keras.optimizers.Nadam(0.1),),
        (lambda: keras.optimizers.Lion(0.1),),
        (lambda: keras.optimizers.RMSprop(0.1, centered=True),),
        (lambda: keras.optimizers.SGD(0.1, clipnorm=1.0),),
        (lambda: keras.optimizers.SGD(0.1, global_clipnorm=1.0),),
        (lambda: keras.optimizers.SGD(0.1, clipvalue=1.0),),
        (lambda: keras.optimizers.SGD(0.1, loss_scale_factor=2.0),),
        (lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),),
        (lambda: keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2),),
        (lambda: keras.optimizers.SGD(0.1, momentum=1.0),),
        (lambda: keras.optimizers.SGD(0.1, weight_decay=20.0),),
        (lambda: GradientDescent(0.1, 0.0, weight_decay=20.0),),
        (lambda: PNM(0.1, weight_decay=20.0),),
        (lambda: type("Own", (keras.optimizers.SGD,), {})(0.1),),
    )
    def test_is_none(self, optimizer):
        self.assertIsNone(stability_of(self.stepped(optimizer()), 0.1, self.variables))

    def test_none_without_a_step_or_a_rate(self):
        for optimizer in (keras.optimizers.Adam(0.1), AdaPNM(0.1)):
            self.assertIsNone(stability_of(optimizer, 0.1, self.variables))
        optimizer = keras.optimizers.RMSprop(0.1)
        optimizer.build(self.variables)
        self.assertIsNone(stability_of(optimizer, 0.1, self.variables))
        for rate in (0.0, -0.1, math.nan):
            self.assertIsNone(stability_of(GradientDescent(0.1), rate, self.variables))

    def test_none_with_a_constraint(self):
        constrained = keras.layers.Dense(1, kernel_constraint="non_neg")
        constrained.build((None, 2))
        self.assertIsNone(stability_of(GradientDescent(0.1), 0.1, constrained.trainable_variables))

    def test_an_average_beside_the_weights_changes_nothing(self):
        with_average = self.stepped(keras.optimizers.SGD(0.1, use_ema=True))
        self.assertEqual(20, stability_of(with_average, 0.1, self.variables).threshold)

    def test_asking_does_not_change_which_weights_decay(self):
        """Keras keeps its first answer, which its pattern takes from TensorFlow's name."""
        optimizer = GradientDescent(0.1, 0.0, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=[":0"])
        self.assertEqual(20, stability_of(optimizer, 0.1, self.variables).threshold)
        optimizer.apply([tf.zeros(2, tf.float64)], self.variables)
        np.testing.assert_array_equal(np.ones(2), self.variables[0].numpy())


if __name__ == "__main__":
    tf.test.main()
