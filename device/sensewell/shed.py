"""Gives back the RAM of code that has done its work once a node is composed: about 14 KiB of 60 on a 32-bit board.

Constructors, validators and the whole of bundle.py run once. To be called when nothing more will be built in this run;
modules come back from flash when they are imported again. On a PC it does nothing.
"""

import gc
import sys

# module: what only building and proving need
_ONCE = {
    "bundle": (),
    "channel": (),
    "guard": ("names", "_take", "_limits", "Guard.__init__"),
    "condition": ("_scaling", "Condition.__init__"),
    "window": ("Window.__init__",),
    "features": ("Features.__init__", "Features._derive", "_read", "_need", "_block", "_zeros", "_within"),
    "spectrum": ("Spectrum.__init__",),
    "model.trees": ("Forest.__init__", "_verify"),
    "rules": ("Rules.__init__", "Rules.is_active"),
    "arbiter": ("Arbiter.__init__", "Decision.__init__"),
    "pipeline": ("Pipeline.__init__", "Pipeline._load", "Pipeline.uncalibrated", "Pipeline.accept"),
    "node": ("compose", "Node.__init__"),
    "shed": (),
}


def shed():
    """Drop them; returns the bytes of heap that became free."""
    if sys.implementation.name != "micropython":
        return 0
    gc.collect()
    before = gc.mem_free()
    package = sys.modules["sensewell"]
    for module, names in _ONCE.items():
        loaded = sys.modules.pop("sensewell." + module, None)
        for name in names:
            # None in its place: the slot of a deleted attribute would keep the old value alive
            holder, dot, inner = name.partition(".")
            target = getattr(loaded, holder, None) if dot else loaded
            if hasattr(target, inner or holder):
                setattr(target, inner or holder, None)
        head, _, tail = module.partition(".")
        holder = getattr(package, head, None) if tail else package
        if hasattr(holder, tail or head):
            setattr(holder, tail or head, None)
            delattr(holder, tail or head)
    gc.collect()
    return gc.mem_free() - before
