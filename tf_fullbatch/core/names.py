"""Names that the core implements and settings offer; no TensorFlow."""

CLIP_NORM_TYPES = ("l2", "inf")
"""Norms by which a gradient is clipped."""

GRADIENT_EVALUATIONS = {
    "none": 1,
    "nested_tape": 2,
    "forward_over_reverse": 2,
    "forward_differences": 2,
    "central_differences": 3,
}
"""Gradient evaluations per sample and step of each penalty. An exact product counts as one more, by convention: it
takes the time of about two."""

PENALTIES = tuple(GRADIENT_EVALUATIONS)
"""Operators of the gradient penalty."""

EXACT = ("nested_tape", "forward_over_reverse")
"""The operators that differentiate the loss twice."""

NOT_BY_XLA = ("forward_over_reverse",)
"""Operators that XLA does not compile: some of its operations (XlaDynamicUpdateSlice) have no forward mode."""

STATISTICS = ("batch", "frozen", "recalibrated")
"""What batch normalisation normalises by where an objective is evaluated: the micro-batch's own statistics, as training
does; the moving averages as they are; or the mean over the set of the micro-batches' statistics at those weights."""

CURVATURES = ("hessian", "ggn")
"""Matrices whose products an objective gives."""

SMOOTHING_FORMS = ("uniform", "others")
"""Which classes label smoothing spreads probability over: all, or all but the true one."""
