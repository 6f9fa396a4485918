"""--jit_compile: whether XLA compiles the gradient, and where it may not."""

import tensorflow as tf

from tf_fullbatch.config.step import StepConfig
from tf_fullbatch.core.audit import AuditReport
from tf_fullbatch.core.names import EXACT, NOT_BY_XLA
from tf_fullbatch.errors import UserError


def use_xla(settings: StepConfig, report: AuditReport) -> bool:
    """Whether the micro-batch's gradient is compiled by XLA; `auto`: where there is a GPU and it is exact.

    XLA's second derivative of max pooling confuses nearly equal pixels (errors of about 1 % were seen in TensorFlow
    2.21), so exact penalties of networks with max pooling go without. Some of its operations have no forward mode, and
    there are operations that it does not compile.

    Raises:
        UserError: `jit_compile="on"` for such a network or penalty.
    """
    with_penalty = f"--jit_compile=on with --penalty={settings.penalty}"
    refusal = None
    if report.not_by_xla is not None:
        refusal = (
            f"--jit_compile=on: {report.not_by_xla}, which XLA does not compile. Use --jit_compile=off, or exchange "
            "the layer."
        )
    elif report.has_max_pooling and settings.penalty in EXACT:
        refusal = (
            f"{with_penalty}: XLA's second derivative of max pooling is wrong. Use --jit_compile=off, another "
            "--penalty, or --stem=cifar."
        )
    elif settings.penalty in NOT_BY_XLA:
        refusal = (
            f"{with_penalty}: some of XLA's operations have no forward mode. Use --jit_compile=off, or another "
            "--penalty."
        )
    if settings.jit_compile == "on" and refusal is not None:
        raise UserError(refusal)
    wanted = settings.jit_compile == "on" or bool(tf.config.list_physical_devices("GPU"))
    return wanted and settings.jit_compile != "off" and refusal is None
