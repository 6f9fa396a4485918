"""What the package makes of a case: right, refused, or a fault; through its public interface alone."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tests.layers.case import MICRO_BATCH, SAMPLES, Case, precision
from tests.layers.reference import EPSILON, RATE, STRENGTH, Reference, same_noise
from tf_fullbatch import FullBatchModel
from tf_fullbatch.errors import UserError

EXACT_TOLERANCE = 1e-9
"""float64: the same operations in another order, some hundred roundings of 1e-16, times a condition of at most 1e5."""

# A difference of two gradients multiplies their rounding by RATE * STRENGTH * |g| / (4 * EPSILON), 5 to 20 here.
FLOAT32_TOLERANCE = 1e-4
"""float32 rounds to 6e-8 at each of some hundred operations in a row."""

BFLOAT16_TOLERANCE = 0.15
"""bfloat16 rounds to 4e-3 at each operation."""

TOLERANCES = {
    "float64": EXACT_TOLERANCE,
    "float32": FLOAT32_TOLERANCE,
    "mixed_bfloat16": BFLOAT16_TOLERANCE,
}


@dataclass(frozen=True)
class Outcome:
    """What came of one cell of the table.

    Attributes:
        kind: "right", "refused", "wrong", "failed" or "impossible" (without this package too).
        detail: The relative error, or the message of the refusal or failure.
    """

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.detail})"


def outcome(
    case: Case, reference: Reference, penalty: str, policy: str, *, jit_compile: str = "auto"
) -> Outcome:
    """One training step of the case, compared with its gradient by hand.

    Args:
        case: The case.
        reference: Its gradients, which every dtype policy is compared with.
        penalty: One of `case.PENALTIES`.
        policy: One of `case.DTYPES`.
        jit_compile: "on" for XLA.
    """
    try:
        movement = step_movement(case, reference.weights, penalty, policy, jit_compile=jit_compile)
    except UserError as error:
        return Outcome("refused" if "\n" not in str(error) else "failed", str(error))
    except Exception as error:  # whatever a layer makes TensorFlow raise is looked for here
        if not runs_in_keras(case, policy):
            return Outcome("impossible", "TensorFlow cannot run the layer in this type")
        return Outcome(
            "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        )
    error = np.linalg.norm(movement - reference.movement(penalty)) / np.linalg.norm(
        reference.gradient(penalty)
    )
    tolerance = case.tolerances.get(policy, TOLERANCES[policy])
    return Outcome("right" if error <= tolerance else "wrong", f"{error:.1e}")


def runs_in_keras(case: Case, policy: str) -> bool:
    """Whether TensorFlow can run the network and its gradient under a dtype policy, without this package."""
    with precision(policy):
        network = case.build()
        x = case.inputs()
        try:
            with tf.GradientTape() as tape:
                outputs = network(
                    x.astype(keras.config.floatx()) if x.dtype.kind == "f" else x, training=True
                )
            tape.gradient(outputs, [v.value for v in network.trainable_variables])
        except Exception:  # Keras' own refusals of a type come as several kinds of error
            return False
    return True


def step_movement(
    case: Case,
    weights: list[np.ndarray],
    penalty: str,
    policy: str,
    *,
    seed: int = 0,
    epsilon: float = EPSILON,
    fixed_noise: bool = True,
    jit_compile: str = "auto",
) -> np.ndarray:
    """Old minus new weights after one step of gradient descent at rate 1, as one float64 vector.

    Args:
        case: The case.
        weights: Trainable weights to start from.
        penalty: One of `case.PENALTIES`.
        policy: One of `case.DTYPES`.
        seed: The run's seed.
        epsilon: Length of the finite differences' step.
        fixed_noise: Whether random layers draw what they draw in the reference; under XLA they do not.
        jit_compile: "on" for XLA.
    """
    keras.utils.set_random_seed(0)
    with precision(policy), same_noise(fixed_noise):
        network = case.build()
        for variable, value in zip(network.trainable_variables, weights, strict=True):
            variable.assign(value)
        settings = {} if penalty == "none" else {"penalty_strength": STRENGTH, "penalty_epsilon": epsilon}
        model = FullBatchModel(
            network,
            micro_batch_size=MICRO_BATCH,
            penalty=penalty,
            seed=seed,
            jit_compile=jit_compile,
            **settings,
        )
        model.compile(optimizer=keras.optimizers.SGD(RATE), loss="mse")
        x, y = case.inputs(), case.targets((SAMPLES, *network.output_shape[1:]))
        model.fit(
            x.astype(keras.config.floatx()) if x.dtype.kind == "f" else x,
            y.astype(keras.config.floatx()),
            verbose=0,
        )
        moved = [w - np.asarray(v) for w, v in zip(weights, network.trainable_variables, strict=True)]
        return np.concatenate([np.ravel(m).astype("float64") for m in moved]) / RATE


def _inputs(case: Case) -> np.ndarray:
    x = case.inputs()
    return x.astype(keras.config.floatx()) if x.dtype.kind == "f" else x
