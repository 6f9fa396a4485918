"""docs/OPTIMIZERS.md: its tables are the registries', its thresholds the code's, and its commands are accepted."""

import re
import shlex
import unittest
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_fullbatch.config.cli_flags import parse
from tf_fullbatch.optim.keras_adapter import KerasDescent
from tf_fullbatch.optim.methods.registry import OPTIMIZERS
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.searches.registry import SEARCHES
from tf_fullbatch.optim.settings import OptimizerConfig
from tf_fullbatch.optim.transforms.registry import GRADIENT_TRANSFORMS, UPDATE_TRANSFORMS

TEXT = (Path(__file__).parents[2] / "docs" / "OPTIMIZERS.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """Name -> cells of its row, of the table whose first heading this is."""
    _, _, table = TEXT.partition(f"| `--{heading}=` |")
    found = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.partition("\n\n")[0].splitlines()[2:]]
    return {name: row for row in found for name in re.findall(r"`([\w:.]+)`", row[0])}


def thresholds(name: str) -> set[str]:
    """The formulas of what a method bears after a step, with and without momentum; of P with " under P"."""
    variants: tuple[dict[str, float], ...] = ({},)
    if name == "gradient_descent":
        variants = ({"momentum": 0.0}, {"nesterov": False}, {"nesterov": True})
    found = set()
    for settings in variants:
        if "flow" not in name:
            settings = {"weight_decay": 0.0} | settings
        optimizer = OptimizerConfig.component("optimizer", name, **settings).build(0.1)
        variables = [keras.Variable(np.ones((2, 2)))]
        optimizer.build(variables)
        if isinstance(optimizer, ObjectiveOptimizer):
            descent = optimizer.descent(variables)
        else:
            optimizer.apply([tf.ones((2, 2))], variables)
            descent = KerasDescent(optimizer, variables)
        stability = descent.stability(0.1, 1.0)
        if stability is not None:
            formula, _, under = stability.formula.partition(", of P^-1/2 H P^-1/2")
            assert bool(under) == (stability.preconditioner is not None)
            found.add(f"`{formula}`" + (" under P" if under else ""))
    return found or {"none"}


class OptimizersTest(unittest.TestCase):
    def test_tables_are_the_registries(self) -> None:
        self.assertEqual(set(rows("optimizer")) - {"keras:NAME", "FILE.py:function"}, set(OPTIMIZERS))
        self.assertEqual(set(rows("line_search")), {"none", *SEARCHES})
        self.assertEqual(set(rows("gradient_transforms")), set(GRADIENT_TRANSFORMS))
        self.assertEqual(set(rows("update_transforms")), set(UPDATE_TRANSFORMS))

    def test_the_curvature_that_a_method_bears_is_what_it_says(self) -> None:
        for name, cells in rows("optimizer").items():
            if name in OPTIMIZERS:
                said = {re.sub(r"^(heavy ball|Nesterov) ", "", part.strip()) for part in cells[4].split(",")}
                self.assertEqual(said, thresholds(name), name)

    def test_commands_are_accepted(self) -> None:
        (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
        commands = block.replace("\\\n", " ").strip().splitlines()
        self.assertEqual(len(commands), 4)
        for command in commands:
            python, dash_m, module, *arguments = shlex.split(command)
            self.assertEqual((python, dash_m, module), ("python", "-m", "tf_fullbatch.main"))
            self.assertIsNotNone(parse(["main", *arguments]))


if __name__ == "__main__":
    unittest.main()
