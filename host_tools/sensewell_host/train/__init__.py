"""Training: recipes, augmentation, forests, choice by leaving one group out, and the manifest that comes of it.

Features come from device_run.py only. Must not know boards, bundles' bytes or how a forest is written for the device.
"""

from sensewell_host.train.manifest import build_manifest
from sensewell_host.train.recipe import Recipe
from sensewell_host.train.run import TrainResult, train

__all__ = ["Recipe", "TrainResult", "build_manifest", "train"]
