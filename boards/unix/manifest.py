# What is frozen into the unix port: asyncio, as in every stock firmware.
# micropython-lib is not used, because Debian's source package has none.

include("$(MPY_DIR)/extmod/asyncio")
