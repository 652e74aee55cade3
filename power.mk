# The long tests: `make soak` cuts the power at every pair of points, where `make test` takes some. Included by the top
# Makefile.

.PHONY: soak test-power

test-power: $(READY) board-unix board-virt_c3 ## power cuts, full and failing flash: no slot is lost (a part of `soak`)
	$(PYTEST) tests/power

soak: $(READY) boards native ## the long versions of the tests of cut power and cut wires (an hour)
	SENSEWELL_SOAK=1 $(PYTEST) tests/power
	SENSEWELL_SOAK=1 $(PYTEST) tests/e2e/test_start.py -k plug
	SENSEWELL_SOAK=1 $(PYTEST) tests/e2e/test_deploy.py -k cut_at_any
