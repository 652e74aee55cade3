# The kit beside ulab, where there is no native code: `make test-ulab`. Included by the top Makefile.
# node and npm are used for these tests only; without them, or without a registry, they are skipped and say so.

.PHONY: test-ulab

test-ulab: $(READY) ## real ulab (in node): shared arrays, its spectrum, and every device test as plain bytecode
	$(PYTEST) tests/ulab
