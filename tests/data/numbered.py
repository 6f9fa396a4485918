"""Update batches whose samples carry their own number, and strategies that are only counted."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tf_fullbatch.data.batches import UpdateBatches


def batches(samples: int = 23, **settings: Any) -> UpdateBatches:
    """Inputs whose rows carry their own number."""
    rows = np.arange(samples)
    inputs = np.stack([rows, rows**2], axis=1).astype("float32")
    return UpdateBatches(inputs, rows.astype("int32"), **settings)


class Replicas:
    """So many replicas; a value of each is a list."""

    def __init__(self, count: int):
        self.num_replicas_in_sync = count

    def experimental_distribute_values_from_function(self, function: Any) -> list:
        class Context:
            """What is asked of `tf.distribute.ValueContext`."""

            def __init__(self, replica: int):
                self.replica_id_in_sync_group = replica

        return [function(Context(replica)) for replica in range(self.num_replicas_in_sync)]


CUTS = {
    "samples": st.integers(1, 30),
    "update": st.integers(1, 30),
    "micro": st.integers(1, 12),
    "replicas": st.integers(1, 4),
    "chunk": st.none() | st.integers(1, 4),
    "shuffle": st.booleans(),
}
"""Strategies of hypothesis for how samples are cut."""
