"""Keras' parts by name, and what an unknown name is answered with."""

import inspect
import types

from absl.testing import parameterized

from tf_fullbatch.errors import UserError
from tf_fullbatch.settings.keras_parts import KerasParts

MODULE = types.ModuleType("keras.things")
for name in ("Adam", "AdamW", "MeanSquaredError", "RMSprop"):
    setattr(MODULE, name, type(name, (), {}))
MODULE.mean_squared_error = lambda: None
PARTS = KerasParts(
    "thing", MODULE, inspect.isclass, lambda name: {"mse": "mean_squared_error"}.get(name, name)
)


class KerasPartsTest(parameterized.TestCase):
    def test_a_name_is_taken_as_it_is_spelled(self) -> None:
        self.assertIs(PARTS.part("keras:RMSprop"), MODULE.RMSprop)

    @parameterized.parameters(
        ("adam", "did you mean keras:Adam?"),
        ("adma", "did you mean keras:Adam?"),
        ("Adam_W", "did you mean keras:AdamW?"),
        ("AdamX", "did you mean keras:Adam or keras:AdamW?"),
        ("mse", "did you mean keras:MeanSquaredError?"),
        ("mean_squared_error", "did you mean keras:MeanSquaredError?"),
        ("RMSprp", "did you mean keras:RMSprop?"),
        ("Nothing", "it has Adam, AdamW, MeanSquaredError, RMSprop."),
    )
    def test_another_is_refused_with_the_names_near_it(self, given: str, hint: str) -> None:
        with self.assertRaises(UserError) as caught:
            PARTS.part(f"keras:{given}")
        self.assertEqual(
            str(caught.exception), f"--thing=keras:{given}: keras.things has no thing {given}; {hint}"
        )

    @parameterized.parameters(
        ("adam", "keras:Adam"),
        ("Adam", "keras:Adam"),
        ("adamw", "adamw"),
        ("mse", "keras:MeanSquaredError"),
        ("MSE.py:mse", "MSE.py:mse"),
        ("keras:nothing", "keras:nothing"),
    )
    def test_names_of_a_program(self, given: str, value: str) -> None:
        self.assertEqual(PARTS.value(given, ("adamw",)), value)

    @parameterized.parameters(("gradient", "."), ("adams", "; did you mean keras:Adam or adamw?"))
    def test_a_program_is_told_built_in_names_too(self, given: str, hint: str) -> None:
        accepted = "accepted are adamw, sgd, keras:NAME, FILE.py:function or package.module:function"
        with self.assertRaises(UserError) as caught:
            PARTS.value(given, ("adamw", "sgd"))
        self.assertEqual(str(caught.exception), f"--thing={given}: {accepted}{hint}")
