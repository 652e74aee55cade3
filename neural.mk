# Networks: `make test-neural` runs what is about them, training included. Included by the top Makefile.
# TensorFlow trains and converts them; it is large, so `make install` leaves it out, and tests that need it skip.

TENSORFLOW := $(VENV)/.tensorflow

# Run here and nowhere else. (On boards, the files of tests/device run again, among all others: make test-device.)
NEURAL_TESTS := \
	tests/host/test_net_recipes.py \
	tests/on_boards/test_neural_boards.py \
	tests/host/test_neural.py \
	tests/e2e/test_neural_bundle.py \
	tests/host/test_neural_viper.py \
	tests/e2e/test_air_forecast.py \
	tests/fuzz/test_neural_fuzz.py \
	tests/host/test_pack_neural.py \
	tests/host/test_tflm_ops.py \
	$(wildcard tests/device/test_neural*.py tests/device/test_net*.py)
NOT_NEURAL := $(addprefix --ignore=,$(NEURAL_TESTS))

.PHONY: neural test-neural

$(TENSORFLOW): $(READY)
	@echo "Installing TensorFlow into $(VENV) (once, 1 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,neural]'
	@touch $@

neural: $(TENSORFLOW) ## TensorFlow into .venv, to train networks

test-neural: $(TENSORFLOW) boards native ## networks: operators and models against TensorFlow Lite Micro, fuzzing, training
	$(PYTEST) -n 2 --dist loadfile $(NEURAL_TESTS)
