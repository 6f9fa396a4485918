"""--suite=scaling: its comparison with the model on made timings, and one small measurement."""

import unittest

import numpy as np
import tensorflow as tf

from tf_fullbatch.benchmark.scaling_suite import (
    KINDS,
    MEMBERS,
    MICRO_BATCHES,
    NUMBERS,
    SPREAD,
    WAIT_SECONDS,
    Place,
    alone_of,
    link_of,
    rows,
    table,
)
from tf_fullbatch.benchmark.waiting import WaitingKernel, waiting
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.data.plan import pieces
from tf_fullbatch.scaling.stragglers import groups, slowest

BANDWIDTH, LATENCY, UPDATE, OVERHEAD = 2e9, 1e-3, 0.5e-3, 4e-3


def exchanged(members: int, numbers: int, kind: str = "replicas") -> float:
    """By hand: on one medium 2 (n - 1) B / b, and two messages to one device, or 2 (n - 1) around a ring."""
    if members == 1:
        return UPDATE
    messages = 2 if kind == "replicas" else 2 * (members - 1)
    return UPDATE + 2 * (members - 1) * 4 * numbers / BANDWIDTH + messages * LATENCY


def made(kind: str, members: int) -> dict:
    """Timings as they would be if the model were right."""

    def step(numbers: int, count: int) -> float:
        beyond = exchanged(members, numbers, kind) - UPDATE
        return pieces(count, members) * (WAIT_SECONDS + 2e-3) + OVERHEAD + beyond

    rounds = pieces(max(MICRO_BATCHES), members)
    late = WAIT_SECONDS * (slowest(groups(max(MICRO_BATCHES), members), SPREAD) - rounds)
    return {
        "exchange": {numbers: [exchanged(members, numbers, kind)] * 3 for numbers in NUMBERS},
        "step": {n: {count: [step(n, count)] * 3 for count in MICRO_BATCHES} for n in NUMBERS},
        "varying": [step(min(NUMBERS), max(MICRO_BATCHES)) + late] * 12,
    }


class ComparedTest(unittest.TestCase):
    def setUp(self):
        self.timings = {Place(kind, members): made(kind, members) for kind in KINDS for members in MEMBERS}

    def test_what_one_takes(self):
        alone = alone_of(self.timings[Place("replicas", 1)])
        for numbers in NUMBERS:
            self.assertAlmostEqual(alone.micro_batch[numbers], WAIT_SECONDS + 2e-3)
            self.assertAlmostEqual(alone.overhead[numbers], OVERHEAD)
            self.assertAlmostEqual(alone.exchange[numbers], UPDATE)

    def test_what_lies_between_two(self):
        alone = alone_of(self.timings[Place("replicas", 1)])
        link = link_of(self.timings[Place("replicas", 2)]["exchange"], alone)
        self.assertAlmostEqual(link.bandwidth / BANDWIDTH, 1)
        self.assertAlmostEqual(link.latency, LATENCY)

    def test_a_model_that_is_right_foretells_all(self):
        found = rows(self.timings)
        self.assertEqual(len(found), len(KINDS) * (len(MEMBERS) - 1) * (2 * len(NUMBERS) + 1))
        for row in found:
            with self.subTest(what=row["what"], of=row["of"], numbers=row["numbers"]):
                self.assertAlmostEqual(row["seconds"]["median"] / row["model"], 1)
        self.assertEqual({r["of"] for r in found if r["fitted"]}, {"2 replicas", "2 workers"})
        self.assertIn("1.00", table(found))

    def test_a_model_that_is_wrong_does_not(self):
        self.timings[Place("workers", 4)]["exchange"][max(NUMBERS)] = [1.0]
        wrong = [r for r in rows(self.timings) if r["seconds"]["median"] / r["model"] > 2]
        self.assertEqual([(r["what"], r["of"]) for r in wrong], [("exchange", "4 workers")])


class WaitingTest(unittest.TestCase):
    def test_bytes_of_the_vector_that_is_summed(self):
        kernel, strategy = WaitingKernel(10, 0.0, 0.0, seed=0), tf.distribute.get_strategy()
        # Ten numbers, the sums of both weights and of samples, the vote; of each micro-batch it keeps nothing.
        for dtype, size in (("float32", 4), ("float64", 8)):
            full_pass = FullPass(
                kernel, read=lambda: ([], []), dtype=dtype, strategy=strategy, most_micro_batches=7
            )
            self.assertEqual(full_pass.reduced_bytes, size * (10 + 3 + 1))

    def test_steps_wait_for_their_micro_batches(self):
        found = waiting(replicas=0, numbers=[10], micro_batches=[2, 5], seconds=0.02, spread=0.3, repeats=3)
        self.assertEqual({k: len(v) for k, v in found["step"][10].items()}, {2: 3, 5: 3})
        self.assertTrue(all(seconds >= 0.1 for seconds in found["step"][10][5]))
        self.assertEqual(len(found["varying"]), 12)
        self.assertGreater(np.std(found["varying"]), 1e-3)
        self.assertEqual(len(found["exchange"][10]), 3)


if __name__ == "__main__":
    unittest.main()
