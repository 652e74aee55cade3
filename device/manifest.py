# Freezes the runtime into a custom firmware: FROZEN_MANIFEST=.../device/manifest.py. Stock firmware needs none of this.
package("sensewell", opt=3)
