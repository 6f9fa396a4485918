"""Norms of variables against NumPy."""

import keras
import numpy as np

from tests.analysis.moments import GivenMoment, measured
from tests.core.objectives import ObjectiveCase, asked
from tests.core.problems import HIDDEN, Problem, smooth
from tests.networks import CLASSES, FEATURES
from tf_fullbatch.analysis.layer_norms import layer_norms
from tf_fullbatch.analysis.measures.per_layer import PerLayerSettings


class Twins(keras.Model):
    """Two layers of one name, and so variables of one path."""

    def __init__(self) -> None:
        super().__init__(name="twins")
        self.twins = [keras.layers.Dense(CLASSES, use_bias=False, name="twin") for _ in range(2)]

    def call(self, inputs):
        return self.twins[0](inputs) + self.twins[1](keras.ops.tanh(inputs))


class LayerNormsTest(ObjectiveCase):
    def test_are_those_of_gradient_and_weights(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        found, gradient = asked(problem), asked(problem).value_and_gradient().gradient
        norms = layer_norms(found)
        self.assertEqual(list(norms), [v.path for v in problem.network.trainable_variables])
        for (path, norm), g, w in zip(norms.items(), gradient, problem.theta, strict=True):
            self.assertAllClose(norm.gradient, np.linalg.norm(g), rtol=1e-13, atol=0, msg=path)
            self.assertAllClose(norm.weights, np.linalg.norm(w), rtol=1e-13, atol=0, msg=path)
            if "bias" in path or "beta" in path:
                self.assertTrue(np.isnan(norm.ratio), path)
            else:
                self.assertAllClose(norm.ratio, np.linalg.norm(g) / np.linalg.norm(w), rtol=1e-13)
        self.assertEqual(found.evaluations, 1)
        self.assertEqual(repr(layer_norms(found, gradient=gradient)), repr(norms))
        self.assertEqual(found.evaluations, 1)

    def test_elsewhere(self) -> None:
        problem = smooth()
        there = [leaf + 0.1 for leaf in problem.theta]
        norms = layer_norms(asked(problem), there)
        self.assertAllClose(
            [norm.weights for norm in norms.values()], [np.linalg.norm(leaf) for leaf in there], rtol=1e-13
        )

    def test_variables_of_one_path_are_told_apart(self) -> None:
        keras.utils.set_random_seed(0)
        network = Twins()
        network(np.zeros((1, FEATURES)))
        norms = layer_norms(asked(Problem(network)))
        self.assertEqual(list(norms), ["twins/twin/kernel", "twins/twin/kernel (2)"])


class MeasureTest(ObjectiveCase):
    def test_gives_what_the_function_gives(self) -> None:
        settings, moment = PerLayerSettings(), GivenMoment(smooth())
        found, norms = measured(settings.build(), moment), layer_norms(moment.objective)
        self.assertLen(found, 3 * 4)
        self.assertEqual({quantity for quantity, _ in found}, set(settings.quantities))
        for path, norm in norms.items():
            self.assertEqual(found["layer_gradient_norm", path], norm.gradient)
            self.assertEqual(found["layer_weight_norm", path], norm.weights)
            self.assertEqual(repr(found["layer_gradient_to_weight", path]), repr(norm.ratio))
        self.assertEqual(moment.objective.evaluations, 2)
