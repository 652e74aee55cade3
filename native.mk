# The native modules: `make native` compiles the C kernels to build/native/ARCH/NAME.mpy. Included by the top Makefile.
# All the work is in device/native/build_native.py, which does nothing where nothing changed.

.PHONY: native

native: $(READY) ## C kernels as native modules, one .mpy for each architecture there is a compiler for
	@$(BIN)/python device/native/build_native.py
