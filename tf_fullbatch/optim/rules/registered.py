"""Every optimizer of this package, for Keras to find when it loads a model."""

from tf_fullbatch.optim.rules import (  # noqa: F401
    adai,
    central_flow,
    fista,
    gradient_descent,
    gradient_flow,
    lamb,
    lars,
    lbfgs,
    muon,
    newton_cg,
    nonlinear_cg,
    normalized,
    positive_negative_momentum,
    searched_gradient_descent,
    searched_rule,
    sign,
)
