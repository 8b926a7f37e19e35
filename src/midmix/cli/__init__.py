"""The command line: one file a command, each reads arguments, calls the library and prints."""

from midmix.cli.app import main

__all__ = ["main"]
