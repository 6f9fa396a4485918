"""The measures of the Hessian's spectrum at a moment of training."""

import numpy as np
import tensorflow as tf

from tests.analysis.moments import SIZE, GivenMoment, measured
from tests.core.objectives import ObjectiveCase, mean_hessian
from tests.core.problems import HIDDEN, smooth
from tf_fullbatch.analysis.measures.density import DensitySettings
from tf_fullbatch.analysis.measures.registry import MEASURES
from tf_fullbatch.analysis.measures.trace import TraceSettings
from tf_fullbatch.analysis.traces import METHODS
from tf_fullbatch.errors import UserError


class SpectralMeasuresTest(ObjectiveCase):
    def test_figures_of_a_hessian(self) -> None:
        problem = smooth(*HIDDEN["batch norm"]())
        dense, when, later = mean_hessian(problem, SIZE), GivenMoment(problem), GivenMoment(problem)
        later.seed = 4
        values, size = np.linalg.eigvalsh((dense + dense.T) / 2), len(dense)

        settings = DensitySettings(probes=4, steps=20)
        measure = settings.build()
        density = {name: value for (name, _), value in measured(measure, when).items()}
        self.assertEqual(list(density), list(settings.quantities))
        self.assertEqual(when.objective.evaluations, 2 * 80)
        self.assertAllClose(density["largest_node"], values[-1], rtol=1e-6)
        self.assertAllClose(density["smallest_node"], values[0], rtol=1e-3)
        self.assertLess(abs(density["mean"] - values.mean()), 3 * density["mean_standard_error"])
        self.assertAllClose(density["root_mean_square"], np.sqrt(np.mean(values**2)), rtol=0.5)
        self.assertBetween(density["negative_mass"], 0, 1)
        self.assertBetween(density["effective_rank"], 1, size)
        self.assertEqual(measured(measure, when), measured(measure, when))
        self.assertNotEqual(density["mean"], measured(measure, later)["mean", ""])

        trace = measured(TraceSettings().build(), when)
        self.assertEqual([name for name, _ in trace], list(TraceSettings.quantities))
        self.assertLess(abs(trace["trace", ""] - np.trace(dense)), 3 * trace["standard_error", ""])
        self.assertNotEqual(trace, measured(TraceSettings().build(), later))
        exact = measured(TraceSettings(products=size).build(), when)
        self.assertAllClose(list(exact.values()), [np.trace(dense), 0.0], rtol=1e-12)
        for measures in (measure, TraceSettings().build()):
            self.assertEqual(measures.state(), {})


class SettingsTest(tf.test.TestCase):
    def test_methods_are_those_that_there_are(self) -> None:
        fields = TraceSettings.__dataclass_fields__
        self.assertEqual(fields["method"].metadata["choices"], tuple(METHODS))
        self.assertEqual(fields["products"].metadata["minimum"], max(least for _, least in METHODS.values()))
        self.assertIs(MEASURES["density"], DensitySettings)
        self.assertIs(MEASURES["trace"], TraceSettings)

    def test_out_of_range(self) -> None:
        with self.assertRaisesRegex(UserError, "--probes=0"):
            DensitySettings(probes=0)
        with self.assertRaisesRegex(UserError, "--products=5"):
            TraceSettings(products=5)
        with self.assertRaisesRegex(UserError, "--method=exact"):
            TraceSettings(method="exact")


if __name__ == "__main__":
    tf.test.main()
