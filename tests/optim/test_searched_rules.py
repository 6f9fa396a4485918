"""Line searches along the directions of rules: each step is the rule's own, as many times as the search says."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tests.float64 import Float64Case
from tests.optim.conformance.problems import some_classes
from tf_fullbatch import FullBatchModel
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.methods.search import SearchableRuleSettings
from tf_fullbatch.optim.rules.searched_rule import SearchedRule
from tf_fullbatch.optim.rules.sign import SignDescent
from tf_fullbatch.optim.settings import OptimizerConfig

X, Y = some_classes(60)
NAMES = sorted(name for name, kind in OPTIMIZERS.items() if issubclass(kind, SearchableRuleSettings))
WITHIN = ("lars", "larc")
"""Rules that have the rate within what they keep: their directions are those of a rate of 1."""
DECAY = 0.03
STEPS = 5


def trained(optimizer: keras.optimizers.Optimizer, **settings: Any) -> FullBatchModel:
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(4, activation="tanh")
    network = keras.Sequential([keras.Input((5,)), hidden, keras.layers.Dense(3)])
    model = FullBatchModel(network, **{"micro_batch_size": 25} | settings)
    model.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def built(name: str, rate: Any = 0.1, **settings: Any) -> keras.optimizers.Optimizer:
    method = OptimizerConfig.component("optimizer", name, **settings)
    return OptimizerConfig(optimizer=name, chosen_optimizer=method).build_optimizer(rate)


def weights(model: FullBatchModel) -> np.ndarray:
    return np.concatenate([np.ravel(v) for v in model.network.get_weights()])


def searched(name: str, search: str, **settings: Any) -> tuple[list[float], list[float], list[np.ndarray]]:
    """(losses with the decay, lengths, weights after each step) of some steps."""
    model = trained(built(name, line_search=search, weight_decay=DECAY), **settings)
    losses, lengths, ways = [], [], []
    for _ in range(STEPS):
        model.fit(X, Y, epochs=1, verbose=0)
        ways.append(weights(model))
        losses.append(float(model.objective(X, Y).loss()) + DECAY / 2 * ways[-1] @ ways[-1])
        lengths.append(model.optimizer.state.last().length)
    return losses, lengths, ways


class StepsTest(Float64Case):
    def test_every_rule_is_here(self) -> None:
        self.assertContainsSubset(["adai", "adapnm", "lamb", "muon", "normalized", "sign", *WITHIN], NAMES)

    @parameterized.product(name=NAMES, search=("armijo", "strong_wolfe"))
    def test_each_lowers_what_is_gone_down(self, name: str, search: str) -> None:
        losses, lengths, _ = searched(name, search)
        self.assertEqual(sorted(set(losses), reverse=True), losses)
        self.assertGreater(min(lengths), 0)

    @parameterized.parameters(*(name for name in NAMES if name not in WITHIN))
    def test_they_are_the_rule_s_own_at_the_lengths_that_were_found(self, name: str) -> None:
        """The rule is told the gradient of the loss and its decay, which a regularizer has too."""
        _, lengths, ways = searched(name, "armijo")
        rule = built(name, weight_decay=0.0)
        model = trained(rule)
        objective = model.objective(X, Y)
        for length, expected in zip(lengths, ways, strict=True):
            theta = objective.theta()
            gradient = [
                g + DECAY * p
                for g, p in zip(objective.value_and_gradient(theta).gradient, theta, strict=True)
            ]
            rule.learning_rate = length
            rule.apply(gradient, model.network.trainable_variables)
            self.assertAllClose(weights(model), expected, rtol=0, atol=1e-12)

    @parameterized.parameters("lars", "muon", "adapnm")
    def test_the_size_of_micro_batches_says_nothing(self, name: str) -> None:
        one, other = (searched(name, "strong_wolfe", micro_batch_size=size)[2] for size in (60, 7))
        self.assertAllClose(one, other, rtol=0, atol=1e-12)


class StateTest(Float64Case):
    @parameterized.parameters("adai", "sign")
    def test_a_saved_one_goes_on_with_the_same_bits(self, name: str) -> None:
        whole = trained(built(name, line_search="armijo"))
        whole.fit(X, Y, epochs=5, verbose=0)
        first = trained(built(name, line_search="armijo"))
        first.fit(X, Y, epochs=3, verbose=0)
        config = keras.saving.serialize_keras_object(first.optimizer)
        again = keras.saving.deserialize_keras_object(config)
        self.assertIsInstance(again, SearchedRule)
        second = trained(again)
        second.network.set_weights(first.network.get_weights())
        again.build(second.network.trainable_variables)
        for new, old in zip(again.variables, first.optimizer.variables, strict=True):
            new.assign(old)
        second.fit(X, Y, epochs=2, verbose=0)
        self.assertAllEqual(weights(second), weights(whole))

    def test_what_was_learnt_is_forgotten_where_it_leads_uphill(self) -> None:
        """A running mean of gradients that points the other way: the step is along the gradient."""
        momentum = {"optimizer_options": "momentum=0.99", "weight_decay": 0.0}
        model = trained(built("sign", line_search="armijo", **momentum))
        model.fit(X, Y, epochs=1, verbose=0)
        mean, fallbacks = (
            next(v for v in model.optimizer.variables if v.name == name) for name in ("momentum", "fallbacks")
        )
        mean.assign(-1e3 * tf.ones(mean.shape))
        gradient = np.concatenate([np.ravel(g) for g in model.objective(X, Y).value_and_gradient().gradient])
        before = weights(model)
        model.fit(X, Y, epochs=1, verbose=0)
        step = weights(model) - before
        self.assertEqual(int(fallbacks), 1)
        self.assertAllClose(
            step / np.linalg.norm(step), -gradient / np.linalg.norm(gradient), rtol=0, atol=1e-10
        )
        self.assertAllEqual(mean, np.zeros(mean.shape))


class RefusalTest(Float64Case):
    def test_in_one_line(self) -> None:
        with self.assertRaisesRegex(UserError, "give it to SearchedRule"):
            SearchedRule(SignDescent(1.0, weight_decay=0.1))
        with self.assertRaisesRegex(UserError, "line_search"):
            built("sign", line_search_options="decrease=0.1")
