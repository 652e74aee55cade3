"""Which runtime this is: what a bundle's `min_runtime` is compared with."""

RUNTIME = (0, 2)
