"""How a command ends when it does not end well."""

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 69
EXIT_BAD_CONFIGURATION = 78


class Ending(Exception):
    """One line for people and a number for programs.

    Attributes:
        reason: What was wrong and what to do.
        exit_code: 1 refused or failed, 69 server or database not reachable, 78 bad configuration.
    """

    def __init__(self, reason: str, exit_code: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exit_code = exit_code
