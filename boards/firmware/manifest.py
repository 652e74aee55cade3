# What is frozen into the firmware of a virtual board: the same as on a stock board, nothing of Sensewell.
# _boot.py mounts the flash file system before boot.py and main.py are looked for.

include("$(MPY_DIR)/extmod/asyncio")
freeze("frozen", "_boot.py")
