# Fuzzing: `make fuzz` throws millions of mutated forests and networks at the C kernels under sanitizers. Included by the top Makefile.
# The same run again, or a short or other one: make fuzz FUZZ_RUNS=100000 FUZZ_NETS=50000 FUZZ_SEED=7

FUZZ_RUNS ?= 2000000
FUZZ_NETS ?= 1000000
FUZZ_SEED ?= 1

.PHONY: fuzz

fuzz: $(READY) ## mutated models against the C kernels: refused by name or harmless, under ASan and UBSan
	FUZZ_RUNS=$(FUZZ_RUNS) FUZZ_NETS=$(FUZZ_NETS) FUZZ_SEED=$(FUZZ_SEED) $(PYTEST) -s tests/fuzz
