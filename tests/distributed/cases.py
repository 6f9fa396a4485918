"""Configurations whose result must not depend on the number of replicas; together they pair every two settings."""

from tf_fullbatch.config import cli_flags
from tf_fullbatch.config.run import Config

# 101 samples: divisible by nothing; the last micro-batch has 5.
_COMMON = "--train_size=101 --model=resnet_tiny --micro_batch_size=16 --epochs=3 --seed=3 --learning_rate=0.2"

CASES = {
    "float64, everything": (
        "--dtype_policy=float64 --activation=softplus --penalty=nested_tape --penalty_strength=0.5 "
        "--full_gradient_penalty_strength=0.3 --clip_norm=0.5 --additive_noise=0.01 --multiplicative_noise=0.3 "
        "--augmentation=crop_flip --augmentation_padding=1"
    ),
    "float64, GroupNorm, AdamW, mini-batches": (
        "--dtype_policy=float64 --norm=group --penalty=forward_over_reverse --penalty_strength=0.5 "
        "--micro_batch_clip_norm=0.5 --optimizer=adamw --learning_rate=0.01 --batch_size=40 --shuffle "
        "--augmentation=crop"
    ),
    "float64, central differences": (
        "--dtype_policy=float64 --activation=gelu --penalty=central_differences --penalty_strength=1 "
        "--penalty_warmup_epochs=2 --clip_norm=0.1 --clip_norm_type=inf --momentum=0 --nesterov=false "
        "--multiplicative_noise=0.3"
    ),
    "float64, no normalisation, large batches": (
        "--dtype_policy=float64 --norm=none --batch_size=48 --additive_noise=0.01 --learning_rate=0.02 "
        "--augmentation=crop_flip --label_smoothing=0.1"
    ),
    "float64, adaptive perturbation": (
        "--dtype_policy=float64 --perturbation=asam --perturbation_radius=0.1 --batch_size=40 --shuffle --clip_norm=0.5"
    ),
    "float64, perturbed micro-batches": (
        "--dtype_policy=float64 --norm=group --perturbation=micro_batch_sam --augmentation=crop "
        "--gradient_transforms=centralize,adaptive_clip"
    ),
    "float64, a search ahead of the weights": "--dtype_policy=float64 --optimizer=fista",
    "float32, BatchNorm, clipping": (
        "--clip_norm=0.5 --augmentation=crop_flip --augmentation_padding=1 --accumulate_dtype=float64"
    ),
    "float32, exact penalty, noise": (
        "--activation=softplus --penalty=nested_tape --penalty_strength=0.5 --full_gradient_penalty_strength=0.3 "
        "--micro_batch_clip_norm=1 --additive_noise=0.01 --multiplicative_noise=0.3"
    ),
    "float32, mini-batches, AdamW": (
        "--batch_size=40 --shuffle --optimizer=adamw --learning_rate=0.01 --augmentation=crop --additive_noise=0.001"
    ),
    "float32, forward differences on ReLU": (
        "--penalty=forward_differences --penalty_strength=0.5 --clip_norm=0.5 --augmentation=crop_flip"
    ),
    "bfloat16, BatchNorm": "--dtype_policy=mixed_bfloat16 --clip_norm=0.5 --augmentation=crop_flip",
    "bfloat16, float64 accumulation, penalty": (
        "--dtype_policy=mixed_bfloat16 --accumulate_dtype=float64 --activation=softplus --penalty=nested_tape "
        "--penalty_strength=0.5 --multiplicative_noise=0.3"
    ),
}

BOUNDS = {"float64": 1e-12, "float32": 1e-6}
"""Largest norm of the difference of all weights over their norm, by precision."""

MEASURED = {
    "float32, forward differences on ReLU": 1e-5,
    "bfloat16, BatchNorm": 1e-5,
    "bfloat16, float64 accumulation, penalty": 1e-5,
}
"""Bounds of cases where rounding is not small: a finite difference divides it by its step of 0.01 and may cross other
kinks, and bfloat16 has 8 bits. Seen were 4e-8 and 3e-8, as both are computed alike within a micro-batch everywhere."""


def bound(case: str) -> float:
    """The largest relative difference that a case may show."""
    return MEASURED.get(case) or BOUNDS[case.split(",")[0]]


def configuration(case: str, *more: str) -> Config:
    """The settings of a case."""
    config = cli_flags.parse(["main", *_COMMON.split(), *CASES[case].split(), *more])
    assert config is not None
    return config
