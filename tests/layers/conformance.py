"""What the table's tests share: a row is run, and every cell compared with what is expected of it."""

import gc
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl.testing import parameterized

from tests.layers.case import EXACT, PENALTIES, Case
from tests.layers.known_faults import KNOWN_FAULTS
from tests.layers.outcome import outcome
from tests.layers.reference import Reference
from tests.layers.table import expected


class ConformanceTestCase(tf.test.TestCase, parameterized.TestCase):
    def tearDown(self) -> None:
        super().tearDown()
        keras.backend.clear_session()
        gc.collect()  # graphs hold each other: without it the whole table takes many GiB

    def check(self, case: Case, policies: Sequence[str]) -> None:
        """Fails with a line for every cell of the row that is not as the table has it."""
        reference = Reference(case)
        self.check_reference(case, reference)
        wrong = {}
        for policy in policies:
            for penalty in PENALTIES:
                found = outcome(case, reference, penalty, policy)
                wanted = expected(case, penalty, policy)
                if (case.name, penalty, policy) in KNOWN_FAULTS:
                    if found.kind == wanted:
                        wrong[penalty, policy] = (
                            f"{found}: a known fault is mended, take it off known_faults.py"
                        )
                elif found.kind != wanted and (found.kind, wanted) != ("refused", "impossible"):
                    wrong[penalty, policy] = f"{found}, but expected is: {wanted}"
        self.assertEqual(wrong, {}, case.name)

    def check_reference(self, case: Case, reference: Reference) -> None:
        """The double tape by hand is the derivative of the gradient, unless that is why the layer is refused."""
        reasons = {case.refused.get(penalty) for penalty in EXACT}
        if "no second derivative" in reasons:
            self.assertGreater(reference.tape_error, 1e-3, "TensorFlow has this second derivative now")
        elif "python random" not in reasons:
            self.assertLess(
                reference.tape_error, 1e-8, "The double tape is not the derivative of the gradient"
            )
