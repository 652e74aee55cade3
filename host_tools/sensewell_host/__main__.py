"""The entry point of the `sensewell` command: one sentence, too, where cli.py itself cannot be loaded."""

from __future__ import annotations

import sys

from sensewell_host.errors import SensewellError


def main() -> None:
    """Run the command."""
    try:
        from sensewell_host.cli import main as command
    except SensewellError as error:
        sys.exit(str(error))
    command()


if __name__ == "__main__":
    main()
