"""What holds of every question to an objective: its cost, that nothing is assigned, what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from tests.core.objectives import ObjectiveCase, asked, random_tree
from tests.core.problems import HIDDEN, flat, scalars, smooth
from tf_fullbatch.core.names import GRADIENT_EVALUATIONS
from tf_fullbatch.core.penalties import PENALTIES, Penalty
from tf_fullbatch.errors import UserError

ROOT = Path(__file__).parents[2]
OPERATORS = tuple(name for name in PENALTIES if name != "none")


class SourcesTest(ObjectiveCase):
    @parameterized.parameters(True, False)
    def test_streamed_and_resident_samples_and_any_calls_give_the_same_bits(self, shuffle: bool) -> None:
        problem, answers = smooth(*HIDDEN["both"]()), []
        v = random_tree(problem.theta)
        for on_device, chunk in ((True, None), (True, 1), (False, 2)):
            found = asked(
                problem, 3, on_device=on_device, chunk_micro_batches=chunk, shuffle=shuffle, batch_size=17
            )
            questions = (found.loss(), found.value_and_gradient(), found.hvp(None, v), found.micro_batches())
            answers.append([np.asarray(x).tobytes() for x in tf.nest.flatten(questions)])
        for answer in answers[1:]:
            self.assertEqual(answer, answers[0])


class EvaluationsTest(ObjectiveCase):
    def spent(self, question: Any, **settings: Any) -> float:
        found = asked(smooth(), **settings)
        self.assertEqual(found.evaluations, 0)
        question(found)
        first = found.evaluations
        question(found)
        self.assertAllClose(found.evaluations, 2 * first, rtol=1e-15, atol=0)
        return first

    def test_are_counted(self) -> None:
        v = random_tree(smooth().theta)
        self.assertAllClose(self.spent(lambda o: o.loss()), 1 / 3, rtol=1e-15, atol=0)
        self.assertEqual(self.spent(lambda o: o.value_and_gradient()), 1)
        self.assertEqual(self.spent(lambda o: o.hvp(None, v)), 2)
        self.assertEqual(self.spent(lambda o: o.hvp(None, v, "ggn")), 2)
        self.assertEqual(self.spent(lambda o: o.micro_batches()), 1)
        self.assertEqual(self.spent(lambda o: o.linear_operator() @ flat(v)), 2)

    @parameterized.parameters(*OPERATORS)
    def test_of_a_penalty(self, name: str) -> None:
        penalty = Penalty(name=name)
        cost = self.spent(lambda o: o.value_and_gradient(penalty=penalty))
        self.assertEqual(cost, GRADIENT_EVALUATIONS[name])
        with_full = self.spent(lambda o: o.value_and_gradient(penalty=penalty), when=scalars(full=0.3))
        self.assertEqual(with_full, GRADIENT_EVALUATIONS[name] + 1)
        self.assertEqual(self.spent(lambda o: o.micro_batches(penalty=penalty)), GRADIENT_EVALUATIONS[name])


class NothingIsAssignedTest(ObjectiveCase):
    def test_by_any_question(self) -> None:
        problem = smooth(*HIDDEN["batch norm"](), *HIDDEN["dropout"]())
        found, v = asked(problem, when=scalars(full=0.3)), random_tree(problem.theta)
        before = [w.numpy() for w in problem.network.variables]
        self.assertLen(before, 9)  # a seed among them
        for theta in (None, random_tree(problem.theta, 3)):
            found.loss(theta)
            found.value_and_gradient(theta, Penalty(name="forward_over_reverse"))
            found.hvp(theta, v)
            found.hvp(theta, v, "ggn")
            found.micro_batches(theta)
            found.linear_operator(theta).matvec(flat(v))
        for variable, old in zip(problem.network.variables, before, strict=True):
            self.assertAllEqual(variable, old)

    def test_so_an_answer_is_the_same_again(self) -> None:
        problem = smooth(*HIDDEN["batch norm"](), *HIDDEN["dropout"]())
        found = asked(problem)
        first, second = (tf.nest.flatten(found.value_and_gradient()) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            self.assertAllEqual(a, b)


class RefusalsTest(ObjectiveCase):
    def assert_refused(self, expected: str, question: Any, *arguments: Any) -> None:
        with self.assertRaisesRegex(UserError, expected) as caught:
            question(*arguments)
        self.assertNotIn("\n", str(caught.exception))

    def test_trees_that_do_not_fit(self) -> None:
        problem = smooth()
        found, theta = asked(problem), problem.theta
        for question in (found.loss, found.value_and_gradient, found.micro_batches, found.linear_operator):
            self.assert_refused(
                "theta has 3 leaves, but there are 4 trainable variables", question, theta[:3]
            )
            self.assert_refused(
                r"theta\[1\] has the shape \(6, 5\), but the variable '.*bias' has \(5,\): give one array",
                question,
                [theta[0], theta[0], theta[2], theta[3]],
            )
        self.assert_refused("v has 53 leaves", found.hvp, None, np.zeros(53))
        self.assert_refused("theta has 53 leaves", found.hvp, np.zeros(53), theta)
        self.assertEqual(found.evaluations, 0)

    def test_unknown_curvatures(self) -> None:
        found, theta = asked(smooth()), smooth().theta
        expected = "curvature='fisher': accepted are hessian, ggn"
        self.assert_refused(expected, found.hvp, None, theta, "fisher")
        self.assert_refused(expected, found.linear_operator, None, "fisher")

    def test_arrays_and_other_precisions_are_taken(self) -> None:
        problem = smooth()
        found = asked(problem)
        arrays = [leaf.numpy() for leaf in problem.theta]
        self.assertAllEqual(found.loss(arrays), found.loss(problem.theta))
        half = [leaf.astype("float32") for leaf in arrays]
        self.assertAllClose(found.loss(half), found.loss(), rtol=1e-6, atol=0)
        self.assertEqual({leaf.dtype for leaf in found.hvp(half, half)}, {tf.float64})


@pytest.mark.slow
class ReplicasTest(tf.test.TestCase):
    def test_two_replicas_answer_as_one(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.core.two_replicas"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(0, done.returncode, done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
        self.assertLen(found, 6 + 6 + 3)  # 23 samples, 3 samples; streamed
        for case, answers in found.items():
            one, two = (np.array(answers[replicas]) for replicas in ("1", "2"))
            with self.subTest(case=case):
                self.assertGreater(np.linalg.norm(one), 1e-3)
                self.assertLessEqual(np.linalg.norm(two - one), 1e-12 * np.linalg.norm(one))


if __name__ == "__main__":
    tf.test.main()
