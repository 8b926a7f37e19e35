"""What is compared: mix × loss × order × head × stages, in one text."""

from midmix.methods.baselines import BASELINES, Baseline
from midmix.methods.heads import HEADS, CosineLinear, ExpertHeads, Head
from midmix.methods.method import Method, parse_methods
from midmix.methods.orders import ORDERS, Order, Shuffled
from midmix.methods.spec import Spec
from midmix.methods.stages import STAGES, Stage, StageData

__all__ = [
    "BASELINES",
    "HEADS",
    "ORDERS",
    "STAGES",
    "Baseline",
    "CosineLinear",
    "ExpertHeads",
    "Head",
    "Method",
    "Order",
    "Shuffled",
    "Spec",
    "Stage",
    "StageData",
    "parse_methods",
]
