"""Gradient descent against its written recursion, PyTorch's numbers, and Keras' optimizer contract."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_fullbatch.optim.keras_schedule import build_schedule
from tf_fullbatch.optim.rules.gradient_descent import GradientDescent, undecayed_variables

START = np.array([1.0, -2.0, 0.5])

# PyTorch 2.13.0 (CPU), float64, 5 steps from START; (nesterov, momentum) -> (parameter, buffer). Made with
#   p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
#   o = torch.optim.SGD([p], lr=0.1, momentum=momentum, nesterov=nesterov, weight_decay=5e-4)
#   for k in range(5):
#       o.param_groups[0]["lr"] = 0.1 / (k + 1)
#       p.grad = torch.tensor([0.3, -0.1, 0.7], dtype=torch.float64) * (k - 1.5) + p.detach() ** 2
#       o.step()
#   print(p.tolist(), o.state[p]["momentum_buffer"])
PYTORCH = {
    (True, 0.9): (
        [0.5579751204187308, -8.804364794984405, 0.46328418644691965],
        [3.541408898337682, 82.506293656428, 3.5774787274988795],
    ),
    (False, 0.9): (
        [0.6617854805052186, -4.965749464889863, 0.508482563816944],
        [3.9588664595288634, 41.294700105896936, 3.425379126350678],
    ),
    (False, 0.0): ([0.8155964579244427, -3.361292053466373, 0.48320362405640704], None),
}


class Float64TestCase(tf.test.TestCase):
    """Runs with float64 as Keras' float type, so that learning rates are not rounded."""

    def setUp(self):
        super().setUp()
        keras.config.set_floatx("float64")
        self.addCleanup(keras.config.set_floatx, "float32")


def recursion(p, gradients, rates, *, momentum, nesterov, weight_decay):
    """The update of the class docstring, in NumPy."""
    buf = np.zeros_like(p)
    for g, lr in zip(gradients, rates, strict=True):
        d = g + weight_decay * p
        buf = momentum * buf + d
        p = p - lr * (d + momentum * buf) if nesterov else p - lr * buf
    return p


class RecursionTest(Float64TestCase):
    @settings(deadline=None, max_examples=15)
    @given(
        momentum=st.sampled_from([0.0, 0.5, 0.9, 0.99]),
        nesterov=st.booleans(),
        weight_decay=st.sampled_from([0.0, 5e-4, 0.3]),
        compiled=st.booleans(),
    )
    def test_equals_the_written_recursion(self, momentum, nesterov, weight_decay, compiled):
        generator = np.random.default_rng(0)
        gradients = generator.normal(size=(6, 3))
        schedule = build_schedule("linear", peak=0.1, warmup_epochs=2, horizon_epochs=6, steps_per_epoch=1)
        variable = keras.Variable(START)
        optimizer = GradientDescent(schedule, momentum, nesterov, weight_decay)
        optimizer.build([variable])

        def update(gradient):
            optimizer.apply([gradient], [variable])

        update = tf.function(update) if compiled else update
        for gradient in gradients:
            update(tf.constant(gradient))
        expected = recursion(
            START,
            gradients,
            [schedule.rate_at_epoch(t) for t in range(6)],
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        self.assertAllClose(variable.numpy(), expected, rtol=1e-14, atol=1e-16)
        self.assertEqual(optimizer.iterations.numpy(), 6)

    def test_equals_pytorch(self):
        for (nesterov, momentum), (parameter, buffer) in PYTORCH.items():
            variable = keras.Variable(START)
            optimizer = GradientDescent(0.1, momentum, nesterov, weight_decay=5e-4)
            for k in range(5):
                optimizer.learning_rate = 0.1 / (k + 1)
                gradient = np.array([0.3, -0.1, 0.7]) * (k - 1.5) + variable.numpy() ** 2
                optimizer.apply([tf.constant(gradient)], [variable])
            self.assertAllClose(variable.numpy(), parameter, rtol=1e-14, atol=0)
            if buffer is None:
                self.assertEmpty(optimizer.buffers)
            else:
                self.assertAllClose(optimizer.buffers[0].numpy(), buffer, rtol=1e-14, atol=0)

    def test_sparse_gradients_decay_every_row(self):
        table = keras.Variable(np.ones((3, 2)))
        gradient = tf.IndexedSlices(
            tf.constant([[2.0, 4.0]], tf.float64), tf.constant([1]), tf.constant([3, 2])
        )
        GradientDescent(0.5, 0.0, False, weight_decay=0.1).apply([gradient], [table])
        self.assertAllClose(table.numpy(), [[0.95, 0.95], [-0.05, -1.05], [0.95, 0.95]], rtol=1e-14, atol=0)


class Float32Test(tf.test.TestCase):
    def test_follows_the_recursion_in_float32(self):
        variable = keras.Variable(START, dtype="float32")
        optimizer = GradientDescent(0.1, weight_decay=0.3)
        for _ in range(3):
            optimizer.apply([tf.constant([0.1, 0.2, 0.3])], [variable])
        expected = recursion(
            START, [np.array([0.1, 0.2, 0.3])] * 3, [0.1] * 3, momentum=0.9, nesterov=True, weight_decay=0.3
        )
        self.assertEqual(variable.dtype, "float32")
        self.assertAllClose(variable.numpy(), expected, rtol=1e-6)

    def test_under_xla(self):
        variable = keras.Variable(START, dtype="float32")
        optimizer = GradientDescent(0.1, weight_decay=0.3)
        optimizer.build([variable])
        update = tf.function(lambda g: optimizer.apply([g], [variable]), jit_compile=True)
        update(tf.constant([0.1, 0.2, 0.3]))
        expected = START - 0.1 * 1.9 * (np.array([0.1, 0.2, 0.3]) + 0.3 * START)
        self.assertAllClose(variable.numpy(), expected, rtol=1e-6)


class WeightDecayTest(tf.test.TestCase):
    def network(self):
        return keras.Sequential(
            [
                keras.Input([8, 8, 3]),
                keras.layers.Conv2D(4, 3),
                keras.layers.BatchNormalization(),
                keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)]),
            ]
        )

    def test_undecayed_are_biases_scales_and_offsets_of_nested_layers_too(self):
        names = [v.name for v in undecayed_variables(self.network())]
        self.assertCountEqual(names, ["bias", "gamma", "beta", "bias"])

    def test_excluded_variables_do_not_decay(self):
        network = self.network()
        for arguments in (
            {"var_list": undecayed_variables(network)},
            {"var_names": ["bias", "gamma", "beta"]},
        ):
            optimizer = GradientDescent(0.1, momentum=0.0, weight_decay=0.5)
            optimizer.exclude_from_weight_decay(**arguments)
            optimizer.build(network.trainable_variables)
            excluded = {id(v) for v in undecayed_variables(network)}
            for variable in network.trainable_variables:
                variable.assign(tf.ones(variable.shape))
            optimizer.apply([tf.zeros(v.shape) for v in network.trainable_variables])
            for variable in network.trainable_variables:
                expected = 1.0 if id(variable) in excluded else 0.95
                self.assertAllClose(variable, np.full(variable.shape, expected), rtol=1e-6, msg=variable.path)

    def test_decays_once(self):
        variable = keras.Variable([1.0])
        GradientDescent(0.1, momentum=0.0, weight_decay=0.5).apply([tf.zeros([1])], [variable])
        self.assertAllClose(variable, [0.95], rtol=1e-6)


class ArgumentsTest(tf.test.TestCase):
    def test_keras_arguments_that_belong_elsewhere_are_refused(self):
        for argument, value in (
            ("clipnorm", 1.0),
            ("global_clipnorm", 1.0),
            ("clipvalue", 1.0),
            ("gradient_accumulation_steps", 4),
            ("use_ema", True),
            ("loss_scale_factor", 8.0),
        ):
            with self.assertRaisesRegex(ValueError, f"{argument}={value}.*FullBatchModel"):
                GradientDescent(0.1, **{argument: value})

    def test_their_defaults_are_accepted(self):
        GradientDescent(0.1, clipnorm=None, use_ema=False)

    def test_wrong_values_are_refused(self):
        for arguments, message in (
            ({"momentum": 1.0}, "momentum is 1.0"),
            ({"momentum": -0.1}, "momentum is -0.1"),
            ({"weight_decay": -1e-4}, "weight_decay is -0.0001"),
            ({"dampening": 0.1}, "unknown argument dampening"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                GradientDescent(0.1, **arguments)


class ReplicasTest(tf.test.TestCase):
    def test_two_replicas_equal_one(self):
        # In a process of its own: logical devices are set before TensorFlow starts.
        done = subprocess.run(
            [sys.executable, "-m", "tests.optim.two_replicas"],
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        gradient = np.array([0.1, 0.2, 0.3])
        arguments = {"momentum": 0.9, "nesterov": True}
        decayed = recursion(START, [gradient] * 3, [0.1, 0.1, 0.05], weight_decay=0.3, **arguments)
        excluded = recursion(START, [gradient] * 3, [0.1, 0.1, 0.05], weight_decay=0.0, **arguments)
        for replica in range(2):
            self.assertAllClose(found["kernel"][replica], decayed, rtol=1e-14, atol=0)
            self.assertAllClose(found["bias"][replica], excluded, rtol=1e-14, atol=0)
        self.assertEqual(found["iterations"], 3)


if __name__ == "__main__":
    tf.test.main()
