"""The command `ssf`, also as `python -m ssf`."""

from ssf.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
