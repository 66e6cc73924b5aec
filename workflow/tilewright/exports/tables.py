"""CSV files as bytes."""

import csv
import io
from collections.abc import Iterable
from typing import Any


def csv_bytes(rows: Iterable[Iterable[Any]]) -> bytes:
    """Rows with commas between values, quoted where needed, lines ended by a newline on every machine."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
