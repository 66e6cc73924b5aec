"""The one error that tilewright raises on purpose.

The command line prints its message as one line and ends with status 1, so a message names the key, tile, scene or
file at fault and says what to do about it.
"""


class TilewrightError(Exception):
    """Bad input or a broken source: the message says what is wrong, where, and the mend."""
