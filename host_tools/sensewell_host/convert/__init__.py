"""From trained models to device models, each with its proof of parity."""
