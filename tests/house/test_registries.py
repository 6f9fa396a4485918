"""The names that settings accept are those that the core implements, where they stand twice."""

import unittest

from tf_fullbatch.config import runtime, step
from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.core import losses, penalties
from tf_fullbatch.display.loggers import registry

FIELDS = {field.name: field for _, field in settings_fields()}


class RegistriesTest(unittest.TestCase):
    def test_penalties(self) -> None:
        self.assertEqual(len(set(step.PENALTIES)), len(step.PENALTIES))
        self.assertEqual(set(step.PENALTIES), set(penalties.PENALTIES))
        self.assertEqual(FIELDS["penalty"].metadata["choices"], step.PENALTIES)

    def test_every_operator_has_a_cost(self) -> None:
        self.assertEqual(set(step.GRADIENT_EVALUATIONS), set(step.PENALTIES))

    def test_loggers(self) -> None:
        self.assertEqual(runtime.LOGGERS, tuple(registry.LOGGERS))

    def test_label_smoothing_has_the_losss_range(self) -> None:
        limits = FIELDS["label_smoothing"].metadata
        losses.SparseCrossentropy(limits["minimum"])
        with self.assertRaises(ValueError):
            losses.SparseCrossentropy(limits["below"])


if __name__ == "__main__":
    unittest.main()
