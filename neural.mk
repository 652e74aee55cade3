# Networks: `make test-neural` runs what is about them, training included. Included by the top Makefile.
# TensorFlow trains and converts them; it is large, so `make install` leaves it out, and tests that need it skip.

TENSORFLOW := $(VENV)/.tensorflow

.PHONY: neural test-neural

$(TENSORFLOW): $(READY)
	@echo "Installing TensorFlow into $(VENV) (once, 1 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,neural]'
	@touch $@

neural: $(TENSORFLOW) ## TensorFlow into .venv, to train networks

test-neural: $(TENSORFLOW) boards native ## networks: operators and models against TensorFlow Lite Micro, fuzzing, training
	$(PYTEST) -n 2 --dist loadfile tests/host/test_neural.py tests/host/test_net_recipes.py tests/host/test_tflm_ops.py
