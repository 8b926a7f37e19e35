"""What is compared: mix × loss × order × head × stages, in one text."""

from midmix.methods.baselines import BASELINES, Baseline
from midmix.methods.controls import controls_of, default_lines, missing_controls, with_controls
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
    "controls_of",
    "default_lines",
    "missing_controls",
    "parse_methods",
    "with_controls",
]
