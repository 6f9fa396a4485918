"""Puts the compiled parts of a model's training and evaluation together from settings, network, loss and optimizer."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core import audit, keras_internals
from tf_fullbatch.core.full_pass import FullPass
from tf_fullbatch.core.gradient_trace import SampleSpecs
from tf_fullbatch.core.kernels import Change, GradientKernel
from tf_fullbatch.core.micro_batch import MicroBatchLoss, StepScalars
from tf_fullbatch.core.names import EXACT
from tf_fullbatch.core.network_call import NetworkCall
from tf_fullbatch.core.passes import Kernel, Metrics
from tf_fullbatch.core.penalties import Penalty
from tf_fullbatch.core.training_loss import TrainingLoss
from tf_fullbatch.core.trees import Tree
from tf_fullbatch.optim.transforms.variables import variables_of
from tf_fullbatch.training import refusals
from tf_fullbatch.training.augmentation import augmentation_of, mix_of
from tf_fullbatch.training.capabilities import Capabilities
from tf_fullbatch.training.descents import descent_of
from tf_fullbatch.training.evaluation import EvaluationKernel
from tf_fullbatch.training.phases import AfterWholeGradient, AtPerturbedWeights, OnePass
from tf_fullbatch.training.step import StepFunctions
from tf_fullbatch.training.step_loop import StepLoop
from tf_fullbatch.training.trainable import Trainable
from tf_fullbatch.training.trial_step import TrialStep
from tf_fullbatch.training.views import outputs_in_inference
from tf_fullbatch.training.xla import use_xla


@dataclass(slots=True)
class TrainingParts:
    """What trains: the micro-batch's loss, passes over it, and the step.

    Attributes:
        loss: The micro-batch's loss.
        penalty: The gradient penalty; None for none.
        change: What changes each micro-batch's gradient, the penalty or a perturbation; None for none.
        make_pass: Makes a pass of a kernel, with room for figures of so many micro-batches.
        steps: The compiled steps.
        trial: Tries a step.
        by_xla: Whether XLA compiles the gradient of a step; that of an objective it does not.
        capabilities: What the network and the loss can be asked for.
        trained: What trained in the network when they were made (`keras_internals.what_trains`).
        key: What they were made for.
        passes: Compiled passes of objectives, by what they have in common.
    """

    loss: MicroBatchLoss
    penalty: Penalty | None
    change: Change | None
    make_pass: Callable[[Kernel, int], FullPass]
    steps: StepLoop
    trial: TrialStep
    by_xla: bool
    capabilities: Capabilities
    trained: tuple
    key: tuple
    passes: dict[tuple, dict[tuple, FullPass]] = field(default_factory=dict)


@dataclass(slots=True)
class EvaluationParts:
    """What evaluates.

    Attributes:
        full_pass: The pass over a data set.
        key: What it was made for.
    """

    full_pass: FullPass
    key: tuple


def build_training(
    model: Trainable, of_outputs: TrainingLoss, samples: SampleSpecs, metrics: Metrics | None, key: tuple
) -> TrainingParts:
    """The training parts of a compiled model whose network and optimizer are built.

    Args:
        model: The model.
        of_outputs: The compiled loss.
        samples: Shapes and dtypes of a batch.
        metrics: Taken of each micro-batch.
        key: Kept with the parts, to tell whether they still fit.

    Raises:
        UserError: The network, or the settings with it, cannot be trained rightly.
    """
    settings, network = model.settings, model.network
    call, report = audited(model, of_outputs, samples)
    jit_compile = use_xla(settings, report)
    loss = _micro_batch_loss(model, of_outputs, call, samples, jit_compile)
    penalty, perturbation = _penalty(settings), settings.build_perturbation()
    change = penalty or (None if settings.perturbs_whole else perturbation)
    kernel = functools.partial(_kernel, loss, settings, jit_compile=jit_compile)
    make_pass = functools.partial(_full_pass, model, call)
    variables = variables_of(network)
    transforms = {name: of.build(variables) for name, of in settings.chosen_gradient_transforms().items()}
    descent = descent_of(model, variables)

    def passes(metrics: Metrics | None) -> OnePass:
        main, at = make_pass(kernel(change), metrics=metrics), lambda: descent.point
        kept = network.trainable_variables, model.distribute_strategy
        if settings.full_gradient_penalty_strength:
            plain = GradientKernel(loss, jit_compile=jit_compile)
            return AfterWholeGradient(main, at, make_pass(plain), *kept)
        if perturbation is not None and settings.perturbs_whole:
            return AtPerturbedWeights(main, at, make_pass(kernel(None)), perturbation, *kept)
        return OnePass(main, at)

    steps = StepFunctions(
        passes=passes(metrics),
        descent=descent,
        state=call.state,
        settings=settings,
        transforms=list(transforms.values()),
        trainable=network.trainable_variables,
    )
    trial = TrialStep(
        lambda: passes(None),
        [transform for name, transform in transforms.items() if name != "noise"],
        steps.descent,
        network.trainable_variables,
    )
    return TrainingParts(
        loss=loss,
        penalty=penalty,
        change=change,
        make_pass=make_pass,
        steps=StepLoop(steps),
        trial=trial,
        by_xla=jit_compile,
        capabilities=Capabilities(loss, samples, exact=penalty is not None and penalty.exact),
        trained=keras_internals.what_trains(network),
        key=key,
    )


def _micro_batch_loss(
    model: Trainable, of_outputs: TrainingLoss, call: NetworkCall, samples: SampleSpecs, jit_compile: bool
) -> MicroBatchLoss:
    """The loss of a micro-batch as the settings want it: augmented, mixed, copied.

    Raises:
        UserError: The settings ask for copies that cannot be.
    """
    settings = model.settings
    augmentation = augmentation_of(model, samples)
    refusals.refuse_copies(
        settings.max_up, augmented=augmentation is not None, outputs=len(of_outputs.losses)
    )
    return MicroBatchLoss(
        call,
        of_outputs,
        augmentation=augmentation,
        mix=mix_of(settings, of_outputs),
        seed=settings.seed,
        multiplicative_noise=settings.multiplicative_noise,
        # XLA's own training BatchNorm takes E[x^2] - E[x]^2, which cancels (tensorflow#118701).
        fused_kernels=settings.fused_batch_norm and not jit_compile,
        copies=settings.max_up,
    )


def _penalty(settings: StepConfig) -> Penalty | None:
    if settings.penalty == "none":
        return None
    return Penalty(name=settings.penalty, epsilon=settings.penalty_epsilon)


def _kernel(
    loss: MicroBatchLoss, settings: StepConfig, change: Change | None, *, jit_compile: bool
) -> GradientKernel:
    """The kernel of the gradient that is descended."""
    clips = settings.micro_batch_clip_norm is not None
    return GradientKernel(
        loss,
        change,
        clip_norm=settings.micro_batch_clip_norm,
        clip_norm_type=settings.clip_norm_type,
        jit_compile=jit_compile,
        # Else the gradient that is descended, or that of the pass before, is the micro-batches' own.
        unpenalised=(change is not None or clips) and not settings.full_gradient_penalty_strength,
    )


def _full_pass(
    model: Trainable,
    call: NetworkCall,
    kernel: Kernel,
    room: int = 0,
    metrics: Metrics | None = None,
) -> FullPass:
    """A pass at the network's present weights and state, with room for the figures of so many micro-batches."""

    def read() -> tuple[Tree, Tree]:
        return [tf.convert_to_tensor(v.value) for v in call.weights], call.state.values()

    return FullPass(
        kernel,
        read=read,
        dtype=accumulate_dtype(model.settings, model.network),
        strategy=model.distribute_strategy,
        metrics=metrics,
        most_micro_batches=room,
    )


def audited(
    model: Trainable, loss: TrainingLoss, samples: SampleSpecs
) -> tuple[NetworkCall, audit.AuditReport]:
    """The call of a compiled model's built network, and what its audit with the loss found for data of these shapes.

    Raises:
        UserError: The network, or the settings with it, cannot be trained rightly.
    """
    penalty = model.settings.penalty
    if model.augmentation_function is not None:
        audit.check_augmentation(model.augmentation_function, samples.inputs)
    call = NetworkCall(model.network, samples.inputs)
    report = audit.check(
        call,
        loss,
        samples,
        second_derivatives=penalty in EXACT,
        forward_mode=penalty == "forward_over_reverse",
        shifted_weights=penalty not in ("none", *EXACT) or model.settings.perturbation != "none",
        replicas=model.distribute_strategy.num_replicas_in_sync,
    )
    return call, report


def build_evaluation(
    model: Trainable, loss: TrainingLoss, metrics: Metrics | None, key: tuple
) -> EvaluationParts:
    """The evaluation of a compiled model whose network is built; `key` is kept with it."""
    kernel = EvaluationKernel(model.network, loss, outputs_in_inference(model.settings, model.loss))
    full_pass = FullPass(
        kernel,
        read=lambda: ([], []),
        dtype="float64" if keras.config.floatx() == "float64" else "float32",
        strategy=model.distribute_strategy,
        metrics=metrics,
    )
    return EvaluationParts(full_pass, key)


def no_scalars() -> StepScalars:
    """The scalars of a pass that reads none of them: an evaluation's."""
    zero, number = tf.constant(0, tf.int64), tf.zeros([])
    return StepScalars(zero, zero, number, number, number)


def accumulate_dtype(settings: StepConfig, network: keras.Model) -> str:
    """Precision of the sums: the setting, widened to float64 where a weight is float64."""
    dtypes = {settings.accumulate_dtype, *(v.dtype for v in network.trainable_variables)}
    return "float64" if "float64" in dtypes else "float32"
