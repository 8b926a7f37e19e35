"""What follows a method's training: the classifier changed, or trained again, the encoder kept."""

from midmix.methods.stages.stage import STAGES, Stage, StageData, prior_after

__all__ = ["STAGES", "Stage", "StageData", "prior_after"]
