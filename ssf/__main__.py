"""The command `ssf`, also as `python -m ssf`."""

import sys


def main() -> None:
    """Runs the command."""
    try:
        from ssf.cli import main as run  # noqa: PLC0415 - to say what is missing
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"ssf: {error.name} is missing; run: pip install 'sharedsignals[server]'\n"
        )
        sys.exit(78)
    run()


if __name__ == "__main__":
    main()
