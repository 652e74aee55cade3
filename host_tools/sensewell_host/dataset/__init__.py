"""Datasets: recordings of a sensor as the counts a board would have read, where they come from and how they are split.

Must not know features, models or boards.
"""

from sensewell_host.dataset.recording import ChannelInfo, Dataset, Recording

__all__ = ["ChannelInfo", "Dataset", "Recording"]
