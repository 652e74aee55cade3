# What is frozen into a custom firmware of any ESP32 board: what the stock one has, and the runtime of Sensewell.

include("$(PORT_DIR)/boards/manifest.py")
include("../../device/manifest.py")
