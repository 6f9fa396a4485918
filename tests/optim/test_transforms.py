"""Lists of transforms: what is accepted and refused, and which variables they are for."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from tf_fullbatch.config.run import Config
from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.transforms.adaptive_clip import AdaptiveClip
from tf_fullbatch.optim.transforms.centralize import Centralize
from tf_fullbatch.optim.transforms.clip import Clip
from tf_fullbatch.optim.transforms.noise import Noise
from tf_fullbatch.optim.transforms.norm_penalties import L1, L2, SquaredDeviation
from tf_fullbatch.optim.transforms.variables import variables_of
from tf_fullbatch.optim.transforms.weight_decay import WeightDecay

CLIP, NOISE = Clip(norm=0.5), Noise(standard_deviation=0.1, seed=3)
FLAGS = {"clip_norm": 0.5, "additive_noise": 0.1, "seed": 3}


class ListsTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, [("clip", CLIP), ("noise", NOISE)]),
        ("centralize", [("centralize", Centralize()), ("clip", CLIP), ("noise", NOISE)]),
        ("noise,l2(coefficient=1e-3)", [("noise", NOISE), ("l2", L2(coefficient=1e-3)), ("clip", CLIP)]),
        (
            " adaptive_clip ( head=true, threshold=0.1 ) ,clip,l1(coefficient=0,on=weights)",
            [
                ("adaptive_clip", AdaptiveClip(threshold=0.1, head=True)),
                ("clip", CLIP),
                ("l1", L1(coefficient=0, on="weights")),
                ("noise", NOISE),
            ],
        ),
        (
            "noise,clip,squared_deviation(coefficient=2,norm=3,on=no_norm)",
            [
                ("noise", NOISE),
                ("clip", CLIP),
                ("squared_deviation", SquaredDeviation(coefficient=2, norm=3, on="no_norm")),
            ],
        ),
    )
    def test_of_the_gradient(self, text: str | None, expected: list) -> None:
        step = StepConfig(gradient_transforms=text, **FLAGS)
        self.assertEqual(list(step.chosen_gradient_transforms().items()), expected)

    def test_without_flags_nothing_comes_last(self) -> None:
        self.assertEqual(StepConfig().chosen_gradient_transforms(), {})
        self.assertEqual(
            list(StepConfig(gradient_transforms="centralize").chosen_gradient_transforms()), ["centralize"]
        )

    def test_of_the_update(self) -> None:
        step = StepConfig(
            update_transforms="clip(norm=1.0,norm_type=inf),weight_decay(coefficient=1e-4,times_rate=false),centralize"
        )
        expected = [
            ("clip", Clip(norm=1.0, norm_type="inf")),
            ("weight_decay", WeightDecay(coefficient=1e-4, times_rate=False)),
            ("centralize", Centralize()),
        ]
        self.assertEqual(list(step.chosen_update_transforms().items()), expected)
        self.assertEqual(step.chosen_gradient_transforms(), {})

    @parameterized.parameters(
        ({}, True),
        ({"clip_norm": 0.5}, True),
        ({"clip_norm": 0.5, "additive_noise": 0.1}, True),
        ({"clip_norm": 0.5, "additive_noise": 0.1, "gradient_transforms": "clip,noise"}, True),
        ({"clip_norm": 0.5, "additive_noise": 0.1, "gradient_transforms": "noise"}, False),
        ({"gradient_transforms": "centralize"}, False),
        ({"update_transforms": "clip(norm=1)"}, False),
    )
    def test_what_is_but_clipping(self, settings: dict, expected: bool) -> None:
        self.assertEqual(StepConfig(**settings).clips_at_most, expected)

    @parameterized.parameters(
        ("gradient", "centralise", "there is no such transform; did you mean centralize[?]$"),
        ("gradient", "weight_decay(coefficient=1)", "it is one of --update_transforms; here there are .*l2"),
        ("gradient", "l2", "of l2: it needs coefficient=NUMBER in brackets"),
        ("gradient", "squared_deviation(coefficient=1)", "it needs norm=NUMBER"),
        ("gradient", "l2(coefficient=-1)", "of l2: coefficient=-1: must be at least 0"),
        ("gradient", "l2(coefficient=much)", "must be a number"),
        ("gradient", "l2(coefficient=1,on=biases)", "on=biases: accepted are all, no_norm, weights"),
        (
            "gradient",
            "l2(weight=1)",
            r"--gradient_transforms=l2\(weight=1\): l2 has no option 'weight'; it has coeff",
        ),
        ("gradient", "l2(1)", r"'1' is no key=value. Give l2\(coefficient=1\); its options are coefficient"),
        ("gradient", "clip(1)", "'1' is no key=value. Give key=value"),
        ("gradient", "l2(coefficient=1,coefficient=2)", "coefficient comes twice"),
        ("gradient", "adaptive_clip(threshold=0)", "threshold=0: must be above 0"),
        ("gradient", "centralize,l1(coefficient=1),centralize", "centralize comes twice"),
        ("gradient", "clip", "clip is there without --clip_norm: set it, or leave clip out"),
        ("gradient", "noise", "noise is there without --additive_noise"),
        ("gradient", "l2(coefficient=1", "a quote or bracket is not closed"),
        ("gradient", "l2(coefficient=1)x", r"'l2\(coefficient=1\)x' is no part"),
        ("gradient", "l2 l1", "'l2 l1' is no part"),
        ("gradient", " , ", "it names nothing"),
        ("update", "clip", "of clip: it needs norm=NUMBER"),
        ("update", "clip(norm=0)", "must be above 0"),
        (
            "update",
            "l2(coefficient=1)",
            "it is one of --gradient_transforms; here there are weight_decay, clip",
        ),
        ("update", "weight_decay(coefficient=-1e-4)", "must be at least 0"),
        ("update", "weight_decay(coefficient=1,times_rate=3)", "must be true or false"),
        ("update", "clip(norm=1),clip(norm=2)", "clip comes twice"),
    )
    def test_what_is_refused(self, place: str, text: str, words: str) -> None:
        with self.assertRaisesRegex(UserError, words) as caught:
            StepConfig(**{f"{place}_transforms": text})
        self.assertStartsWith(str(caught.exception), f"--{place}_transforms")
        self.assertLen(str(caught.exception).splitlines(), 1)

    def test_what_has_a_flag_has_nothing_in_brackets(self) -> None:
        for name, flag in (("clip(norm=1)", "clip_norm"), ("noise(seed=1)", "additive_noise")):
            with self.assertRaisesRegex(UserError, f"is given by --{flag}, and has nothing in brackets"):
                StepConfig(gradient_transforms=name, **FLAGS)

    def test_a_configuration_is_written_and_read(self) -> None:
        texts = {
            "gradient_transforms": "adaptive_clip(threshold=0.02),clip",
            "update_transforms": "weight_decay(coefficient=1e-4)",
        }
        config = Config(step=StepConfig(clip_norm=1.0, **texts))
        groups = config.to_dict()
        self.assertEqual({name: groups["step"][name] for name in texts}, texts)
        self.assertEqual(Config.from_dict(groups), config)
        for name in texts:
            del groups["step"][name]
        self.assertEqual(Config.from_dict(groups), Config(step=StepConfig(clip_norm=1.0)))


class VariablesTest(parameterized.TestCase):
    def network(self) -> keras.Model:
        inputs = keras.Input((8, 8, 2))
        x = keras.layers.Conv2D(3, 3, name="conv")(inputs)
        x = keras.layers.BatchNormalization(name="batch")(x)
        x = keras.layers.DepthwiseConv2D(2, depth_multiplier=2, name="depthwise")(x)
        x = keras.layers.SeparableConv2D(4, 2, use_bias=False, name="separable")(x)
        x = keras.layers.Conv2DTranspose(5, 2, name="transpose")(x)
        x = keras.layers.LayerNormalization(axis=[1, 2], name="layer_norm")(x)
        x = keras.layers.EinsumDense("abcd,def->abcef", (None, None, 2, 3), bias_axes="ef", name="einsum")(x)
        x = keras.layers.Reshape((-1, 6))(x)
        x = keras.layers.RMSNormalization(name="rms")(x)
        x = keras.layers.GRU(2, name="gru")(x)
        return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))

    def test_kinds_outputs_and_masks(self) -> None:
        network = self.network()
        variables = variables_of(network)
        paths = [v.path for v in network.trainable_variables]
        found = dict(zip(paths, zip(variables.kinds, variables.outputs, strict=True), strict=True))
        expected = {
            "conv/kernel": ("weight", (3,)),
            "conv/bias": ("bias", ()),
            "batch/gamma": ("norm", ()),
            "batch/beta": ("norm", ()),
            "depthwise/kernel": ("weight", (2, 3)),
            "depthwise/bias": ("bias", ()),
            "separable/depthwise_kernel": ("weight", (2, 3)),
            "separable/pointwise_kernel": ("weight", (3,)),
            "transpose/kernel": ("weight", (2,)),
            "transpose/bias": ("bias", ()),
            "layer_norm/gamma": ("norm", ()),
            "layer_norm/beta": ("norm", ()),
            "einsum/kernel": ("weight", (1, 2)),
            "einsum/bias": ("bias", ()),
            "rms/scale": ("norm", ()),
            "gru/gru_cell/kernel": ("weight", (1,)),
            "gru/gru_cell/recurrent_kernel": ("weight", (1,)),
            "gru/gru_cell/bias": ("bias", ()),
            "head/kernel": ("weight", (1,)),
            "head/bias": ("bias", ()),
        }
        self.assertEqual(found, expected)
        self.assertEqual(
            [p for p, on in zip(paths, variables.head(), strict=True) if on], ["head/kernel", "head/bias"]
        )
        for mask, kinds in (
            ("all", {"weight", "bias", "norm"}),
            ("no_norm", {"weight", "bias"}),
            ("weights", {"weight"}),
        ):
            self.assertEqual(variables.on(mask), [expected[path][0] in kinds for path in paths])

    def test_outputs_have_a_mean_of_their_own(self) -> None:
        """Of every kernel, whatever its layer: the sum over inputs of a centralised kernel is 0 for each output."""
        network = self.network()
        variables = variables_of(network)
        transform = Centralize().build(variables)
        tree = [
            tf.random.stateless_normal(v.shape, [1, i]) for i, v in enumerate(network.trainable_variables)
        ]
        found, _ = transform(tree, None)
        shapes = {
            v.path: np.asarray(leaf) for v, leaf in zip(network.trainable_variables, found, strict=True)
        }
        # What a layer makes of inputs that are 1 everywhere, in the middle of the image: a sum over its inputs.
        for name, shape in (
            ("conv", (1, 3, 3, 2)),
            ("head", (1, 2)),
            ("einsum", (1, 1, 1, 5)),
            ("depthwise", (1, 2, 2, 3)),
        ):
            layer = network.get_layer(name)
            layer.kernel.assign(shapes[f"{name}/kernel"])
            np.testing.assert_allclose(layer(np.ones(shape, "float32")), 0, atol=1e-5)
        layer = network.get_layer("transpose")
        layer.kernel.assign(shapes["transpose/kernel"])
        made = layer(np.ones((1, 4, 4, 4), "float32"))[:, 1:-1, 1:-1]
        np.testing.assert_allclose(made, 0, atol=1e-5)

    def test_without_a_kernel_there_is_no_head(self) -> None:
        network = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization()])
        self.assertEqual(variables_of(network).head(), [False, False])


if __name__ == "__main__":
    tf.test.main()
