# Custom firmware with upstream TensorFlow Lite Micro: `make firmware`. Included by the top Makefile. Stock firmware needs
# none of this. All the work is in boards/custom.py, which says what is missing.
#
#   make firmware BOARD=unix MODELS="a.tflite b.tflite" TFLM_INCLUDE="FOLDER ..." TFLM_LIB=libtensorflow-microlite.a
#   make firmware BOARD=esp32s3 MODELS=... MICROPYTHON_DIR=... IDF_PATH=...       (esp32, esp32s3, esp32c3)
#
# MODELS: the operators of these are built in, no others; without it an ESP32 gets the frozen runtime alone.
# TFLM_CXXFLAGS: what the library was compiled with, if not -DTF_LITE_STATIC_MEMORY.
# The ESP32 firmwares are not built in CI: there is no ESP-IDF.

.PHONY: firmware test-tflm

firmware: export MODELS := $(MODELS)
firmware: export TFLM_INCLUDE := $(TFLM_INCLUDE)
firmware: export TFLM_LIB := $(TFLM_LIB)
firmware: export TFLM_CXXFLAGS := $(TFLM_CXXFLAGS)
firmware: export MICROPYTHON_DIR := $(MICROPYTHON_DIR)
firmware: export IDF_PATH := $(IDF_PATH)
firmware: $(READY) ## MicroPython with TensorFlow Lite Micro for BOARD (not built in CI for ESP32s)
	@$(BIN)/python boards/custom.py $(BOARD)

test-tflm: $(READY) ## the module over TensorFlow Lite Micro in a real MicroPython, over a stand-in of the library
	$(PYTEST) tests/tflm
