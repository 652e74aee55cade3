"""Sensors, one file a part: read(row) -> t_ms. The bus is passed in."""
