"""The command line: one file per noun, no logic."""

from ssf.cli.commands import main

__all__ = ["main"]
