"""Settings of one optimizer step: micro-batches, penalty, clipping, noise, augmentation, precision.

The arguments of `tf_fullbatch.training.full_batch_model.FullBatchModel`, and flags of the command line.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tf_fullbatch.config.perturbation import PERTURBATIONS, WHOLE, Chosen, perturbation_settings
from tf_fullbatch.core.names import CLIP_NORM_TYPES, GRADIENT_EVALUATIONS, PENALTIES
from tf_fullbatch.data.augment.base import AugmentationSettings, MixSettings
from tf_fullbatch.data.augment.lists import AugmentationList, Listed, augmentation_list
from tf_fullbatch.data.augment.own import OwnAugmentation
from tf_fullbatch.data.augment.registry import AUGMENTATIONS, PARTS
from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.rate_factors import parsed_factors
from tf_fullbatch.optim.transforms.base import TransformSettings
from tf_fullbatch.optim.transforms.clip import Clip
from tf_fullbatch.optim.transforms.lists import gradient_transforms, update_transforms
from tf_fullbatch.optim.transforms.noise import Noise
from tf_fullbatch.optim.transforms.registry import GRADIENT_TRANSFORMS, OF_FLAGS, UPDATE_TRANSFORMS
from tf_fullbatch.settings import part_names
from tf_fullbatch.settings.components import Group, chosen_by, described
from tf_fullbatch.settings.fields import refuse_without_effect, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tf_fullbatch.core.micro_batch import Augmentation
    from tf_fullbatch.core.perturbations import Perturbation


@dataclass(frozen=True, kw_only=True, slots=True)
class StepConfig(Group):
    """How an update batch's gradient is computed and transformed."""

    micro_batch_size: int = setting(
        128,
        "Samples of one forward and backward pass on one replica: the block over which BatchNorm takes its "
        "statistics and over which one gradient norm is penalised.",
        minimum=1,
    )
    penalty: str = setting(
        "none",
        "Operator of the gradient penalty: exact Hessian-vector products (nested_tape, forward_over_reverse) or "
        "finite differences (forward_differences, the published one; central_differences).",
        choices=PENALTIES,
    )
    penalty_strength: float = setting(
        0.0,
        "Strength s of the penalty (lr * s / 8) * |g_b|^2 on the micro-batches' gradient norms (published: 0.5).",
        minimum=0,
    )
    full_gradient_penalty_strength: float = setting(
        0.0,
        "Strength a of the penalty on the whole update batch's gradient norm; costs one more pass per step.",
        minimum=0,
    )
    penalty_epsilon: float = setting(
        0.01,
        "Length in parameter space of the finite differences' step (published: 0.01). Not used by exact operators.",
        above=0,
    )
    penalty_warmup_epochs: float = setting(
        0.0, "Epochs over which the penalty's strengths rise linearly from 0.", minimum=0
    )
    perturbation: str = setting(
        "none",
        f"Descend the gradient at weights perturbed along it: {described(PERTURBATIONS)}. Costs one more pass.",
        choices=("none", *PERTURBATIONS),
    )
    perturbation_radius: float | None = setting(
        None,
        "Length of the perturbation in parameter space (asam: in units of the weights). Unset: 0.5 of asam, else 0.05.",
        above=0,
    )
    perturbation_options: str | None = setting(
        None,
        "Options of --perturbation, key=value,...; a wrong name lists those there are.",
        options=True,
    )
    clip_norm: float | None = setting(
        None,
        "Largest norm of the averaged, penalised gradient (published: 0.25). Unset: no clipping.",
        above=0,
    )
    clip_norm_type: str = setting("l2", "Norm that is clipped.", choices=CLIP_NORM_TYPES)
    micro_batch_clip_norm: float | None = setting(
        None, "Largest norm of each micro-batch's penalised gradient. Unset: no clipping.", above=0
    )
    learning_rate_factors: str | None = setting(
        None,
        "Factors on the learning rate of some weights, PATTERN=FACTOR,...: the first regular expression that is found "
        "in a weight's path, such as conv_1/kernel, has it. Unset: 1.",
    )
    lookahead_steps: int | None = setting(
        None,
        "Follow every so many steps of the optimizer in part, by --lookahead_factor (Lookahead, Zhang et al. 2019). "
        "Unset: all of each step.",
        minimum=1,
    )
    lookahead_factor: float = setting(
        0.5, "Part of the way of --lookahead_steps that is kept (published: 0.5, 0.8).", above=0, maximum=1
    )
    additive_noise: float = setting(
        0.0,
        "Standard deviation of Gaussian noise added to every coordinate of the clipped gradient (Langevin dynamics).",
        minimum=0,
    )
    gradient_transforms: str | None = setting(
        None,
        "What is done to the averaged, penalised gradient before the method, in this order, NAME(key=value,...),...: "
        f"{described(GRADIENT_TRANSFORMS)}. Where it does not name clip and noise, which --clip_norm and "
        "--additive_noise give, they come last.",
    )
    update_transforms: str | None = setting(
        None,
        "What is done to the method's update before it is applied, in this order, NAME(key=value,...),...: "
        f"{described(UPDATE_TRANSFORMS)}.",
    )
    multiplicative_noise: float = setting(
        0.0,
        "Standard deviation sigma of the factors z ~ N(1, sigma^2) on the samples' losses (Hoffer et al. 2017).",
        minimum=0,
    )
    augmentation: str = setting(
        "none",
        "Random changes to the training images, on the device: a list of parts in their order, NAME, NAMENUMBER or "
        f"NAME(key=value,...), of {described(PARTS, last=', ')}; crop_flip (crop4,flip, as published for CIFAR), "
        f"none, or {part_names.OWN}.",
    )
    chosen_augmentation: AugmentationSettings = chosen_by(
        "augmentation", AUGMENTATIONS, (part_names.names_code, OwnAugmentation), (lambda text: True, Listed)
    )
    max_up: int = setting(
        1,
        "Augmented copies of each sample, of which the one of the highest loss counts (MAX-UP, Gong et al. 2020); each "
        "costs a gradient evaluation.",
        minimum=1,
    )
    augment_copies: int | None = setting(
        None,
        "Train on a fixed set of so many augmented copies of each sample, none of them on disk. Unset: new ones in "
        "every pass, without end.",
        minimum=2,
    )
    copies_in_turn: bool = setting(
        False, "Pass over one of the --augment_copies after the other, rather than over all in every pass."
    )
    accumulate_dtype: str = setting(
        "float32",
        "Precision of the sums over samples; widened to float64 where the weights are.",
        choices=("float32", "float64"),
    )
    jit_compile: str = setting(
        "auto",
        "Compile the micro-batch's gradient with XLA; auto: where there is a GPU.",
        choices=("auto", "on", "off"),
    )
    fused_batch_norm: bool = setting(
        True,
        "Where XLA is off: normalise batches by TensorFlow's fused kernel where first derivatives alone are wanted, "
        "and groups (--norm=group) by sums over pixels first. The same functions, rounded differently, and faster.",
    )
    flip_averaging: bool = setting(
        False, "Evaluate with the outputs averaged over each image and its mirror image."
    )
    test_time_augmentation: str = setting(
        "none",
        "Evaluate with the probabilities averaged over views of each image: flip (it and its mirror image), "
        "flip_translate (both moved by a pixel each way too: six views).",
        choices=("none", "flip", "flip_translate"),
    )
    seed: int = setting(
        0, "Seed of initial weights, augmentation, dropout, shuffling and noise.", minimum=0, below=2**31
    )

    def __post_init__(self) -> None:
        Group.__post_init__(self)
        parsed_factors(self.learning_rate_factors)
        self.chosen_gradient_transforms()
        self.chosen_update_transforms()
        strengths = self.penalty_strength + self.full_gradient_penalty_strength
        if self.penalty == "none" and strengths:
            raise UserError(
                f"--penalty=none with --penalty_strength={self.penalty_strength} and --full_gradient_penalty_strength="
                f"{self.full_gradient_penalty_strength}: choose a --penalty ({', '.join(PENALTIES[1:])}), or leave "
                "the strengths at 0."
            )
        if self.penalty != "none" and not strengths:
            raise UserError(
                f"--penalty={self.penalty} without a strength: set --penalty_strength (published: 0.5) or "
                "--full_gradient_penalty_strength above 0, or --penalty=none."
            )
        chosen = self.chosen_perturbation
        if chosen is None:
            refuse_without_effect(self, ("perturbation_radius",), "without --perturbation")
        elif self.penalty != "none":
            raise UserError(
                f"--perturbation={self.perturbation} with --penalty={self.penalty}: both are second passes of one "
                "family (docs/method.md). Choose one of them."
            )
        self._check_augmentation()
        if self.lookahead_steps is None:
            refuse_without_effect(self, ("lookahead_factor",), "without --lookahead_steps")
        if self.clip_norm is None and self.micro_batch_clip_norm is None:
            refuse_without_effect(self, ("clip_norm_type",), "without --clip_norm or --micro_batch_clip_norm")

    def _check_augmentation(self) -> None:
        self.whole_augmentation()
        if self.flip_averaging and self.test_time_augmentation != "none":
            raise UserError(
                f"--flip_averaging with --test_time_augmentation={self.test_time_augmentation}: the one averages "
                "outputs, the other probabilities. Choose one of them."
            )
        if self.augment_copies is not None and self.mixing is not None:
            raise UserError(
                f"--augment_copies={self.augment_copies} with --augmentation={self.augmentation}: what mixes has new "
                "partners in every pass. Leave one of them out."
            )
        if self.max_up > 1 and self.mixing is not None:
            raise UserError(
                f"--max_up={self.max_up} with --augmentation={self.augmentation}: the hardest copy is one "
                "sample's, and mixing makes one of two. Leave one of them out."
            )
        if self.augment_copies is None:
            refuse_without_effect(self, ("copies_in_turn",), "without --augment_copies")
        elif self.max_up > self.augment_copies and self.copies_in_turn:
            raise UserError(
                f"--max_up={self.max_up} with --augment_copies={self.augment_copies}: there are no {self.max_up} "
                "different copies to take the hardest of. Raise --augment_copies, or lower --max_up."
            )
        elif self.max_up > 1 and not self.copies_in_turn:
            raise UserError(
                f"--max_up={self.max_up} with --augment_copies={self.augment_copies}: of each sample all copies count "
                "already. Add --copies_in_turn, or leave one of them out."
            )

    def whole_augmentation(self) -> AugmentationSettings | AugmentationList:
        """What is chosen: one by its name, or the list of parts.

        Raises:
            UserError: A part of the list that cannot be.
        """
        if isinstance(self.chosen_augmentation, Listed):
            return augmentation_list(self.augmentation)
        return self.chosen_augmentation

    def build_augmentation(self, shape: "Sequence[int]", dtype: str) -> "Augmentation | None":
        """The augmentation, where it is built in; None for none.

        Args:
            shape: Height, width and channels of the images.
            dtype: Their dtype's name; accepted is uint8.

        Raises:
            UserError: It is not for these images.
        """
        chosen = self.whole_augmentation()
        if len(shape) != 3:
            raise UserError(
                f"--augmentation={self.augmentation} is for images (height, width, channels), but inputs are of shape "
                f"{list(shape)}: leave it out."
            )
        if dtype != "uint8":
            raise UserError(
                f"--augmentation={self.augmentation} is for pixels from 0 to 255 (uint8), but inputs are {dtype}: give "
                "them as uint8 and scale them within the network, leave it out, or give an augmentation of your own."
            )
        if reason := chosen.refusal(shape):
            raise UserError(f"--augmentation={self.augmentation}: {reason}. Change it, or leave it out.")
        return chosen.build(self.seed)

    @property
    def averages_views(self) -> dict[str, Any]:
        """The setting by which views of an image are averaged in inference, and its value; empty for none."""
        given = {"flip_averaging": self.flip_averaging, "test_time_augmentation": self.test_time_augmentation}
        return {name: value for name, value in given.items() if value not in (False, "none")}

    @property
    def mixing(self) -> MixSettings | None:
        """What mixes samples with partners; None for nothing."""
        chosen = self.whole_augmentation()
        return chosen.mixing if isinstance(chosen, AugmentationList) else None

    @property
    def copies_per_pass(self) -> int:
        """How many copies of each training sample a pass goes over."""
        return 1 if self.augment_copies is None or self.copies_in_turn else self.augment_copies

    def chosen_gradient_transforms(self) -> dict[str, TransformSettings]:
        """Name -> settings of the transforms of the gradient, in the order in which they act.

        Raises:
            UserError: A part of the list that cannot be.
        """
        of_flags: dict[str, TransformSettings] = {}
        if self.clip_norm is not None:
            of_flags["clip"] = Clip(norm=self.clip_norm, norm_type=self.clip_norm_type)
        if self.additive_noise:
            of_flags["noise"] = Noise(standard_deviation=self.additive_noise, seed=self.seed)
        return gradient_transforms(self.gradient_transforms, of_flags)

    def chosen_update_transforms(self) -> dict[str, TransformSettings]:
        """Name -> settings of the transforms of the update, in the order in which they act.

        Raises:
            UserError: A part of the list that cannot be.
        """
        return update_transforms(self.update_transforms)

    @property
    def clips_at_most(self) -> bool:
        """Whether gradient and update have no transforms but clipping of the gradient and then noise."""
        usual = [name for name in OF_FLAGS if name in self.chosen_gradient_transforms()]
        return list(self.chosen_gradient_transforms()) == usual and self.update_transforms is None

    @property
    def gradient_evaluations(self) -> int:
        """Gradient evaluations per sample and step: those of the penalty, one more for the whole gradient, and one
        more for perturbed weights; of each of the copies of a sample."""
        further = bool(self.full_gradient_penalty_strength) + (self.perturbation != "none")
        return self.max_up * (GRADIENT_EVALUATIONS[self.penalty] + further)

    @property
    def chosen_perturbation(self) -> Chosen | None:
        """The settings of the perturbation; None for none."""
        return perturbation_settings(self.perturbation, self.perturbation_options)

    def build_perturbation(self) -> "Perturbation | None":
        """The perturbation of the radius that was chosen, or its own; None for none."""
        chosen = self.chosen_perturbation
        return None if chosen is None else chosen.build(self.perturbation_radius or chosen.radius)

    @property
    def perturbs_whole(self) -> bool:
        """Whether weights are perturbed along the whole gradient, by a pass of its own."""
        chosen = self.chosen_perturbation
        return chosen is not None and chosen.of == WHOLE
