# The virtual boards: `make boards` builds all of them, `make board-virt_c3` one. Included by the top Makefile.
# All the work is in boards/build.py, which caches under build/boards and does nothing where nothing changed.

BOARD_PYTHON ?= python3

.PHONY: boards board-unix board-virt_c3 board-virt_m4

boards: ## build all virtual boards (unix, virt_c3, virt_m4)
	@$(BOARD_PYTHON) boards/build.py

board-unix board-virt_c3 board-virt_m4: board-%: ## build one virtual board
	@$(BOARD_PYTHON) boards/build.py $*
