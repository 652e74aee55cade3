"""What only building and proving a node need: reading settings, checking them, laying out state, proving models.

Constructors import from here when they are called, never at the top of a module, and nothing that stays may refer to
anything of it: so `drop` gives its RAM back once a node runs. Plain bytecode: native code is not freed everywhere.
"""

import gc
import sys

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

# Beside this package: what opens bundles, and what only leads to the code that stays. (Not sensewell_p256: native code
# that is loaded anew takes new memory on some boards)
_ONCE = const("bundle policy signature trust trust_store kernel.p256_plain kernel features model.trees model")


def drop():
    """Forget this package and what else is needed once, on a board: imported again it comes back from flash, whole."""
    if sys.implementation.name != "micropython":
        return
    names = [name for name in sys.modules if name.startswith("sensewell.build")]
    for name in names + ["sensewell.%s" % one for one in _ONCE.split()]:
        if sys.modules.pop(name, None):
            package, _, name = name.rpartition(".")
            package = sys.modules.get(package)
            if hasattr(package, name):
                setattr(package, name, None)  # the slot of a deleted attribute would keep the old value alive
                delattr(package, name)
    gc.collect()


def thrifty(on):
    """Collect garbage often while a bundle is opened and built: what is then free in one piece decides if it fits."""
    if hasattr(gc, "threshold"):
        gc.threshold(4096 if on else -1)


def number(spec, key, default, least, greatest, name):
    """The int `key` of a dict of settings. Refused where it is none: as `name`.`key`, or `name` if that has a dot."""
    value = spec.get(key, default)
    if type(value) is not int or not least <= value <= greatest:  # a bool is no number here
        if "." not in name:
            name += "." + key
        raise Refused(name, "%s: expected %s..%s, got %r" % (key, least, greatest, value))
    return value


def numbers(spec, table, name):
    """The values of the settings in `table`, a line each: key, default or none, least, greatest; see `number`.

    A table is one string because short names in code stay in RAM for ever.
    """
    values = []
    for line in table.split("\n"):
        key, default, least, greatest = line.split()
        default = None if default == "none" else int(default)
        values.append(number(spec, key, default, int(least), int(greatest), name))
    return values


def choice(spec, words, name):
    """Which word of a setting is given: `words` is its key, then the words, the first one if the key is absent."""
    key, *words = words.split()
    word = spec.get(key, words[0])
    if word not in words:
        raise Refused(name if "." in name else name + "." + key, "expected one of %s" % words)
    return words.index(word)
