"""Simulated parts: they sit on a bus that drivers take for the board's, and fail when told to. No node needs them."""
