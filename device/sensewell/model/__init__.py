"""Model families, one file each, one protocol: Model(buffer, ...).predict(features, scores) -> class index."""
