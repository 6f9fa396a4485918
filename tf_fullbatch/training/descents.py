"""How a compiled model's weights move: its optimizer's rule, factors, transforms and lookahead."""

from tf_fullbatch.errors import UserError
from tf_fullbatch.optim.descent import Descent
from tf_fullbatch.optim.keras_adapter import KerasDescent
from tf_fullbatch.optim.lookahead import LookaheadDescent
from tf_fullbatch.optim.rate_factors import rate_factors
from tf_fullbatch.optim.rules.objective_optimizer import ObjectiveOptimizer
from tf_fullbatch.optim.transformed_descent import TransformedDescent
from tf_fullbatch.optim.transforms.variables import Variables
from tf_fullbatch.training.trainable import Trainable


def descent_of(model: Trainable, variables: Variables) -> Descent:
    """The method by which the model's optimizer moves its weights, and what transforms make of its updates.

    Args:
        model: A compiled model whose optimizer is built.
        variables: Its trainable weights, as transforms know them.

    Raises:
        UserError: Factors or transforms that cannot be, or not with this optimizer.
    """
    factors, trainable = _factors(model), model.network.trainable_variables
    settings, optimizer = model.settings, model.optimizer
    if isinstance(optimizer, ObjectiveOptimizer):
        return optimizer.descent(trainable)
    method: Descent = KerasDescent(optimizer, trainable, factors)
    if transforms := settings.chosen_update_transforms().values():
        _refuse_averaging(model, "update_transforms", "transforms act")
        method = TransformedDescent(method, [of.build(variables) for of in transforms], trainable)
    if settings.lookahead_steps is None:
        return method
    return LookaheadDescent(optimizer, trainable, method, settings.lookahead_steps, settings.lookahead_factor)


def _factors(model: Trainable) -> list[float]:
    """The factor on the learning rate of each trainable weight.

    Raises:
        UserError: Factors that cannot be, or with weights that the optimizer averages itself.
    """
    text = model.settings.learning_rate_factors
    _refuse_averaging(model, "learning_rate_factors", "factors apply")
    return rate_factors(text, [v.path for v in model.network.trainable_variables])


def _refuse_averaging(model: Trainable, setting: str, what: str) -> None:
    """Refuses a setting with an optimizer that averages the weights itself.

    Raises:
        UserError: It is given, and the optimizer does.
    """
    text = getattr(model.settings, setting)
    if text and model.optimizer.use_ema:
        raise UserError(
            f"--{setting}={text} with an optimizer of use_ema=True, which averages weights before the {what}: leave "
            "one of them out."
        )
