"""Gradient descent with momentum and coupled weight decay, as a Keras optimizer."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tf_fullbatch.core import keras_internals
from tf_fullbatch.optim.rules.arguments import refuse_keras_arguments


@keras.saving.register_keras_serializable(package="tf_fullbatch")
class GradientDescent(keras.optimizers.Optimizer):
    """Gradient descent with (Nesterov) momentum and coupled L2 weight decay.

        d   = g + weight_decay * p
        buf = momentum * buf + d              (buf = 0 before the first step)
        p   = p - lr * (d + momentum * buf)   with Nesterov,   p - lr * buf   without

    The buffer is free of the learning rate: a change of rate acts on the whole of the next update. This is
    the recursion of PyTorch's SGD; `keras.optimizers.SGD` keeps the rate in its buffer and decouples the
    decay. Variables in float64 get the rate in full precision if `keras.config.floatx()` is "float64".

    `exclude_from_weight_decay` (before the first step) takes variables out of the decay; as with every Keras
    optimizer it is not part of the config and has to be called again after loading.

    Args:
        learning_rate: A float, a schedule of the step, or a callable without arguments.
        momentum: In [0, 1); 0 keeps no buffer.
        nesterov: Whether the step looks one momentum step ahead.
        weight_decay: Coefficient of the decay, the gradient of `weight_decay / 2 * |p|^2`; not negative.
        name: Name of the optimizer.
        **unsupported: Keras' other optimizer arguments, accepted only as None or False.

    Raises:
        ValueError: If a value is out of its range, or an argument is given that belongs elsewhere.

    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    def __init__(
        self,
        learning_rate: Any,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float = 0.0,
        name: str = "gradient_descent",
        **unsupported: Any,
    ) -> None:
        refuse_keras_arguments("GradientDescent", unsupported)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must lie in [0, 1).")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay is {weight_decay}; it must not be negative.")
        # Keras' own `weight_decay` stays None: set, it would shrink the weights a second time.
        super().__init__(learning_rate=learning_rate, name=name)
        self.momentum = momentum
        self.nesterov = nesterov
        self.coupled_weight_decay = weight_decay
        self.buffers: list[keras.Variable] = []

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes one momentum buffer per variable, of its shape and dtype."""
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self.buffers = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one variable, on one replica, by the recursion of the class."""
        direction = tf.cast(tf.convert_to_tensor(gradient), variable.dtype)
        if self.coupled_weight_decay and keras_internals.is_decayed(self, variable):
            direction += self.coupled_weight_decay * variable
        rate = tf.cast(learning_rate, variable.dtype)
        if not self.momentum:
            self.assign_sub(variable, rate * direction)
            return
        # The two lines of the recursion after the decay, as one kernel in place.
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=self.buffers[keras_internals.position_of(self, variable)].value.handle,
            lr=rate,
            grad=direction,
            momentum=tf.constant(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "name": self.name,
            "learning_rate": super().get_config()["learning_rate"],
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "weight_decay": self.coupled_weight_decay,
        }


def undecayed_variables(network: keras.Model) -> list[keras.Variable]:
    """The trainable variables often kept out of weight decay, for `exclude_from_weight_decay(var_list=...)`.

    These are the biases and the scales and offsets of normalisation layers: every variable of rank 0 or 1,
    and every one named bias, gamma or beta.

    Source: He et al. 2019 (arXiv 1812.01187), section 3.1, "no bias decay".
    """
    named = ("bias", "gamma", "beta")
    return [v for v in network.trainable_variables if len(v.shape) <= 1 or v.name in named]
