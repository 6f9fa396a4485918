"""The names that the configuration accepts are those that the code implements."""

import unittest

from tf_fullbatch.config import groups, step
from tf_fullbatch.config.run import settings_fields
from tf_fullbatch.core import losses, penalties
from tf_fullbatch.data.augment import build as augment_build
from tf_fullbatch.models import build as models_build
from tf_fullbatch.optim import build as optim_build
from tf_fullbatch.optim import schedules

FIELDS = {field.name: field for _, field in settings_fields()}


class RegistriesTest(unittest.TestCase):
    def test_names(self) -> None:
        for accepted, implemented in (
            (step.PENALTIES, penalties.PENALTIES),
            (step.AUGMENTATIONS, augment_build.AUGMENTATIONS),
            (groups.MODELS, models_build.MODELS),
            (groups.OPTIMIZERS, optim_build.OPTIMIZERS),
            (groups.SCHEDULES, schedules.SCHEDULES),
            (FIELDS["learning_rate_scaling"].metadata["choices"], schedules.BATCH_SIZE_SCALINGS),
        ):
            with self.subTest(accepted=accepted):
                self.assertEqual(len(set(accepted)), len(accepted))
                self.assertEqual(set(accepted), set(implemented))

    def test_flags_offer_them(self) -> None:
        for name, accepted in (
            ("penalty", step.PENALTIES),
            ("augmentation", step.AUGMENTATIONS),
            ("model", groups.MODELS),
            ("shortcut", groups.SHORTCUTS),
            ("stem", groups.STEMS),
            ("norm", groups.NORMS),
            ("activation", groups.ACTIVATIONS),
            ("optimizer", groups.OPTIMIZERS),
            ("schedule", groups.SCHEDULES),
            ("dtype_policy", groups.DTYPE_POLICIES),
        ):
            self.assertEqual(FIELDS[name].metadata["choices"], accepted)

    def test_every_operator_has_a_cost(self) -> None:
        self.assertEqual(set(step.GRADIENT_EVALUATIONS), set(step.PENALTIES))

    def test_label_smoothing_has_the_losss_range(self) -> None:
        limits = FIELDS["label_smoothing"].metadata
        losses.SparseCrossentropy(limits["minimum"])
        with self.assertRaises(ValueError):
            losses.SparseCrossentropy(limits["below"])


if __name__ == "__main__":
    unittest.main()
