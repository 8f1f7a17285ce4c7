"""The command line. One module per group of commands; no logic of its own."""

from terrahash.cli.main import main

__all__ = ["main"]
