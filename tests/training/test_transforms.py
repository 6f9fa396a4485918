"""Lists of transforms in a training: their place in the step, figures, and what must know of them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.networks import softplus_network
from tests.training.small_models import X, Y, model_of, weights
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent
from tf_fullbatch.optim.rules.lbfgs import LBFGS
from tf_fullbatch.training.full_batch_model import FullBatchModel
from tf_fullbatch.training.measure import Measure
from tf_fullbatch.training.moment import TrainingMoment

GRADIENT = (
    "centralize,adaptive_clip(threshold=0.05),squared_deviation(coefficient=0.01,norm=1,on=weights),clip"
)
UPDATE = "weight_decay(coefficient=0.2),clip(norm=0.05)"
RATE = 0.3


def norm(tree: list[np.ndarray]) -> float:
    return float(np.sqrt(sum((leaf**2).sum() for leaf in tree)))


def clipped(tree: list[np.ndarray], bound: float) -> list[np.ndarray]:
    return [leaf * min(1.0, bound / (norm(tree) + 1e-6)) for leaf in tree]


def gradient_of(network: keras.Model) -> list[np.ndarray]:
    with tf.GradientTape() as tape:
        logits = network(X.astype("float64"), training=True)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(Y, logits, from_logits=True))
    return [g.numpy() for g in tape.gradient(loss, [v.value for v in network.trainable_variables])]


def transformed_gradient(g: list[np.ndarray], w: list[np.ndarray]) -> list[np.ndarray]:
    """`GRADIENT` of the two dense layers of `softplus_network`, whose second one is the head."""
    g = [leaf - leaf.mean(axis=0) if leaf.ndim > 1 else leaf for leaf in g]
    units = [(0, np.s_[:, i]) for i in range(w[0].shape[1])] + [(1, np.s_[:])]
    for leaf, unit in units:
        lengths = max(np.linalg.norm(w[leaf][unit]), 1e-3), max(np.linalg.norm(g[leaf][unit]), 1e-6)
        g[leaf] = g[leaf].copy()
        g[leaf][unit] *= min(1.0, 0.05 * lengths[0] / lengths[1])
    excess = (w[0] ** 2).sum() + (w[2] ** 2).sum() - 1
    g = [leaf + 0.01 * 2 * excess * p if p.ndim > 1 else leaf for leaf, p in zip(g, w, strict=True)]
    return clipped(g, 0.2)


class StepTest(Float64Case):
    def test_both_lists_beside_numpy(self) -> None:
        """Three steps with momentum: the gradient is transformed before it, the update after it."""
        network = softplus_network()
        settings = {"gradient_transforms": GRADIENT, "update_transforms": UPDATE, "clip_norm": 0.2}
        model = model_of(network, GradientDescent(RATE, momentum=0.9), micro_batch_size=5, **settings)
        w = [v.numpy() for v in network.trainable_variables]
        buffer = [np.zeros_like(p) for p in w]
        for epoch in range(3):
            g = gradient_of(network)
            model.fit(X, Y, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
            d = transformed_gradient(g, w)
            buffer = [0.9 * b + leaf for b, leaf in zip(buffer, d, strict=True)]
            update = [-RATE * (leaf + 0.9 * b) for b, leaf in zip(buffer, d, strict=True)]
            update = clipped([u - RATE * 0.2 * p for u, p in zip(update, w, strict=True)], 0.05)
            w = [p + u for p, u in zip(w, update, strict=True)]
            for v, expected in zip(network.trainable_variables, w, strict=True):
                self.assertAllClose(v.numpy(), expected, rtol=1e-12, atol=1e-13)
            self.assertAllClose(model.last_step["gradient_norm"], norm(g), rtol=1e-12, atol=0)
            self.assertAllClose(model.last_step["update_norm"], norm(update), rtol=1e-12, atol=0)
            self.assertAllClose(norm(update), 0.05, rtol=1e-4, atol=0)
            self.assertEqual(model.last_step["clipped"], float(norm(d) > 0.199))

    def test_clipped_is_of_what_comes_to_it(self) -> None:
        found = {}
        for order in ("clip,l2(coefficient=10)", "l2(coefficient=10),clip"):
            model = model_of(clip_norm=3.0, gradient_transforms=order)
            model.fit(X, Y, verbose=0)
            found[order] = model.last_step["clipped"], model.last_step["gradient_norm"]
        first, second = found.values()
        self.assertEqual((first[0], second[0]), (0.0, 1.0))
        self.assertEqual(first[1], second[1])
        self.assertLess(first[1], 3.0)

    @parameterized.parameters(
        ({"clip_norm": 0.05, "additive_noise": 0.1}, "clip,noise", True),
        ({"clip_norm": 0.05, "additive_noise": 0.1}, "noise", False),
    )
    def test_flags_alone_act_last_in_their_order(self, settings: dict, text: str, same: bool) -> None:
        ends = []
        for named in (None, text):
            model = model_of(gradient_transforms=named, **settings)
            model.fit(X, Y, epochs=2, verbose=0)
            ends.append((weights(model).tobytes(), dict(model.last_step)))
        self.assertEqual(ends[0][0] == ends[1][0], same)
        if same:
            for steps in ends:
                for clock in [name for name in steps[1] if "second" in name]:
                    del steps[1][clock]
            self.assertEqual(ends[0][1], ends[1][1])

    def test_factors_on_rates_act_within_the_method(self) -> None:
        """A weight whose rate is 0 has no update to be clipped, but decays by the rate of all."""
        network = softplus_network()
        before = [v.numpy() for v in network.trainable_variables]
        model = model_of(
            network,
            GradientDescent(RATE, momentum=0.0),
            learning_rate_factors=".*=0",
            update_transforms="weight_decay(coefficient=0.5,on=weights)",
        )
        model.fit(X, Y, verbose=0)
        for v, p in zip(network.trainable_variables, before, strict=True):
            share = RATE * 0.5 if p.ndim > 1 else 0.0
            self.assertAllClose(v.numpy(), (1 - share) * p, rtol=1e-13, atol=0)

    def test_adamw_is_adam_with_this_decay(self) -> None:
        """The coefficient is one that float32 has: Keras rounds its own to that on its way."""
        ends = []
        for optimizer, text in (
            (keras.optimizers.AdamW(0.01, weight_decay=0.25), None),
            (keras.optimizers.Adam(0.01), "weight_decay(coefficient=0.25)"),
        ):
            model = model_of(softplus_network(), optimizer, update_transforms=text)
            model.fit(X, Y, epochs=3, verbose=0)
            ends.append(np.concatenate([np.ravel(w) for w in model.network.get_weights()]))
        self.assertAllClose(*ends, rtol=1e-12, atol=1e-13)

    def test_l2_is_coupled_decay(self) -> None:
        ends = []
        for decay, text in ((0.3, None), (0.0, "l2(coefficient=0.3)")):
            model = model_of(
                softplus_network(), GradientDescent(0.1, weight_decay=decay), gradient_transforms=text
            )
            model.fit(X, Y, epochs=3, verbose=0)
            ends.append(np.concatenate([np.ravel(w) for w in model.network.get_weights()]))
        self.assertAllClose(*ends, rtol=1e-12, atol=1e-13)


class AroundTest(parameterized.TestCase):
    def look(self, function: Any, **settings: Any) -> list:
        """What a function finds of each moment before a step, and after the last."""
        found = []

        class Look(Measure):
            def moment(self, last: bool) -> tuple[TrainingMoment, float]:
                moment, at = super().moment(last)
                found.append(function(moment))
                return moment, at

        model = model_of(optimizer=GradientDescent(RATE, momentum=0.9, nesterov=True), **settings)
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[Look("gradient_flow_angle", every=1)])
        return found

    @parameterized.parameters(
        ({"clip_norm": 0.2, "gradient_transforms": "clip"}, True),
        ({"clip_norm": 0.2, "gradient_transforms": "centralize"}, False),
        ({"update_transforms": "weight_decay(coefficient=0.1)"}, False),
    )
    def test_no_threshold_where_none_is_derived(self, settings: dict, known: bool) -> None:
        found = self.look(lambda moment: moment.stability, **settings)
        self.assertLen(found, 2)
        for one in found:
            self.assertEqual(one is not None, known)

    def test_the_factor_of_clipping_is_in_the_threshold(self) -> None:
        plain, by_factor = (
            self.look(lambda moment: moment.stability.threshold, **settings)[0]
            for settings in ({}, {"clip_norm": 0.2})
        )
        model = model_of()
        model.fit(X, Y, verbose=0)
        expected = plain * (model.last_step["gradient_norm"] + 1e-6) / 0.2
        np.testing.assert_allclose(by_factor, expected, rtol=1e-6)

    @parameterized.parameters("gradient_transforms", "update_transforms")
    def test_searches_and_flows_refuse(self, setting: str) -> None:
        settings = {setting: "centralize"}
        with self.assertRaisesRegex(UserError, f"goes down one function, .*; leave out {setting}=centralize"):
            model_of(optimizer=LBFGS(), **settings).fit(X, Y, verbose=0)
        plain = GradientDescent(0.1, momentum=0.0)
        for name in ("central_flow", "gradient_flow"):
            with self.assertRaisesRegex(UserError, f"but there is {setting}=centralize: leave"):
                model_of(optimizer=plain, **settings).fit(X, Y, verbose=0, callbacks=[Measure(name)])

    def test_optimizers_that_average_weights(self) -> None:
        words = "^update_transforms=centralize with an optimizer of use_ema=True"
        with self.assertRaisesRegex(UserError, words):
            model_of(optimizer=keras.optimizers.SGD(0.1, use_ema=True), update_transforms="centralize").fit(
                X, Y
            )

    def test_weights_with_constraints(self) -> None:
        hidden = keras.layers.Dense(5, kernel_constraint="non_neg", name="held")
        with self.assertRaisesRegex(
            UserError, r"^update_transforms with weights that have constraints \(.*held/kernel"
        ):
            model_of(softplus_network(hidden), update_transforms="centralize").fit(X, Y, verbose=0)

    def test_a_model_that_was_saved_has_them(self) -> None:
        model = model_of(gradient_transforms="centralize", update_transforms="clip(norm=1)")
        again = FullBatchModel.from_config(model.get_config())
        self.assertEqual(again.settings, model.settings)


if __name__ == "__main__":
    tf.test.main()
