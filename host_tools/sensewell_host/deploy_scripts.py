"""What a deploy has a board do, as texts of MicroPython. deploy.py fills in {names} and runs them."""

# All files under `slots` and the paths: SHA-256 and bytes, first lines of the latter; and what the board can do
SURVEY = """
import os, hashlib
block = bytearray(2048)
view = memoryview(block)
def digest(path):
    try:
        with open(path, "rb") as file:
            state = hashlib.sha256()
            while True:
                n = file.readinto(block)
                if not n:
                    return state.digest(), os.stat(path)[6]
                state.update(view[:n])
    except OSError:
        return None, 0
def walk(folder):
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return
    for entry in entries:
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            walk(path)
        else:
            print("F", repr((path, digest(path))))
walk({slots!r})
for path in {paths!r}:
    print("F", repr((path, digest(path))))
    try:
        with open(path, "rb") as file:
            print("M", repr((path, file.readline())))
    except OSError:
        pass
try:
    import deflate
    print("D", 1)
except ImportError:
    print("D", 0)
try:
    stat = os.statvfs("/")
    print("Z", stat[0] * stat[3])
except (OSError, AttributeError):
    print("Z", None)
"""

# A watchdog resets the board if the host goes away. One that a node has started runs on: this makes it wait longer
FEED = """
try:
    from machine import WDT
    WDT(timeout={timeout_ms}).feed()
    print("FED")
except Exception:
    pass
"""

# Everything in a folder tree, files first, and the folder itself
REMOVE = """
import os
def remove(path):
    try:
        if os.stat(path)[0] & 0x4000:
            for entry in list(os.ilistdir(path)):
                remove(path + "/" + entry[0])
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass
for path in {paths!r}:
    remove(path)
"""

COPY = """
import os
def folders(path):
    for end in range(2, len(path)):
        if path[end] == "/":
            try:
                os.mkdir(path[:end])
            except OSError as error:
                if error.errno != 17:  # it exists
                    raise
block = bytearray(2048)
view = memoryview(block)
for source, target in {pairs!r}:
    folders(target)
    with open(source, "rb") as file, open(target, "wb") as copy:
        while True:
            n = file.readinto(block)
            if not n:
                break
            copy.write(view[:n])
"""

# A file from what was compressed; mode "ab" appends
INFLATE = """
import deflate, os
with open({packed!r}, "rb") as file, open({path!r}, {mode!r}) as target:
    with deflate.DeflateIO(file, deflate.RAW, {bits}) as stream:
        while True:
            block = stream.read(1024)
            if not block:
                break
            target.write(block)
os.remove({packed!r})
"""

# A piece of the bundle, from a bundle that is there
APPEND = """
with open({source!r}, "rb") as file, open({path!r}, "ab") as target:
    file.seek({at})
    left = {size}
    while left:
        block = file.read(min(left, 1024))
        if not block:
            break
        target.write(block)
        left -= len(block)
"""

# What the code of the new application does on the board; it is found in `code`. A large model needs its room in one
# piece: collecting early keeps what is small together. For bundles that expire the setup.py that will run with it,
# or does already, is asked for the time.
_PRELUDE = """
import sys, gc
gc.threshold(4096)
sys.path.insert(0, {code!r})
def refused(error):
    print("REFUSED", getattr(error, "reason", type(error).__name__), "|", error)
def now_s():
    for path in ("/setup.py.part", "/setup.py"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        names = {{"__name__": "setup"}}
        exec(text, names)
        return names["now_s"]() if "now_s" in names else None
try:
    from sensewell.slots import Slots
    from sensewell.install import Install
    from sensewell.policy import of_board
    from sensewell.start import prover
    slots = Slots(prover(of_board({board!r}, now_s() if {expires!r} else None)))
    install = Install(slots, {size}, {digest!r})
"""
BEGIN = (
    _PRELUDE
    + """
    at, have = install.partial()
    if not have or have != {prefixes!r}.get(at):
        at = 0
    path = install.begin(at, {again!r}, True, {freed})
    print("BEGUN", repr((path, at)))
except MemoryError:
    print("MEMORY", gc.mem_free())
except Exception as error:
    refused(error)
"""
)
# The code moves from where it was staged to its slot: that slot is no one's now
MOVE = """
import os
os.chdir("/")
os.rename({new!r}[1:], {code!r}[1:])  # relative: VfsPosix of the unix port renames no absolute paths
"""
COMMIT = (
    _PRELUDE
    + """
    install.commit()
    print("PROVEN")
except MemoryError:
    print("MEMORY", gc.mem_free())
except Exception as error:
    refused(error)
"""
)
# Once the board has this text it needs no wire any more
SWITCH = (
    """
import os
os.chdir("/")
for source, target in {renames!r}:
    os.rename(source[1:], target[1:])
if hasattr(os, "sync"):
    os.sync()
"""
    + _PRELUDE
    + """
    slots.switch()
    print("SWITCHED", slots.why)
except Exception as error:
    refused(error)
"""
)
