"""The optimizers there are."""

from tf_fullbatch.optim.methods.adai import AdaiSettings, AdaiWSettings
from tf_fullbatch.optim.methods.adamw import AdamWSettings
from tf_fullbatch.optim.methods.base import OptimizerSettings
from tf_fullbatch.optim.methods.central_flow import CentralFlowSettings
from tf_fullbatch.optim.methods.fista import FistaSettings
from tf_fullbatch.optim.methods.gradient_descent import GradientDescentSettings
from tf_fullbatch.optim.methods.gradient_flow import GradientFlowSettings
from tf_fullbatch.optim.methods.lamb import LAMBSettings
from tf_fullbatch.optim.methods.lars import LARCSettings, LARSSettings
from tf_fullbatch.optim.methods.lbfgs import LBFGSSettings
from tf_fullbatch.optim.methods.muon import MuonSettings
from tf_fullbatch.optim.methods.newton_cg import NewtonCGSettings
from tf_fullbatch.optim.methods.nonlinear_cg import NonlinearCGSettings
from tf_fullbatch.optim.methods.normalized import NormalizedDescentSettings
from tf_fullbatch.optim.methods.positive_negative_momentum import AdaPNMSettings, PNMSettings
from tf_fullbatch.optim.methods.sign import SignDescentSettings

OPTIMIZERS: dict[str, type[OptimizerSettings]] = {
    "gradient_descent": GradientDescentSettings,
    "adamw": AdamWSettings,
    "sign": SignDescentSettings,
    "normalized": NormalizedDescentSettings,
    "lars": LARSSettings,
    "larc": LARCSettings,
    "lamb": LAMBSettings,
    "adai": AdaiSettings,
    "adaiw": AdaiWSettings,
    "pnm": PNMSettings,
    "adapnm": AdaPNMSettings,
    "muon": MuonSettings,
    "fista": FistaSettings,
    "lbfgs": LBFGSSettings,
    "newton_cg": NewtonCGSettings,
    "nonlinear_cg": NonlinearCGSettings,
    "gradient_flow": GradientFlowSettings,
    "central_flow": CentralFlowSettings,
}
