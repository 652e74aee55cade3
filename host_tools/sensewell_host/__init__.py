"""The host side of Sensewell: capture, train, convert, prove, pack, deploy, run, report."""

__version__ = "0.1.0"
