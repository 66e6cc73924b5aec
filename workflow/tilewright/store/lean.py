"""Arrow without pandas, for stages that are over in a second or two."""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _NoPandas(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Find nothing, and for pandas let no other finder look.

        Raises:
            ModuleNotFoundError: for pandas.
        """
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def without_pandas() -> None:
    """Keep pyarrow from importing pandas before something needs it.

    At the first value that it converts, pyarrow imports pandas to know its types when it meets them, which takes longer than all
    that a small stage imports besides. Told that there is no pandas it asks again only where it must have it: `to_pandas`,
    `from_pandas` and what calls them work as ever. For processes of our own only: until then pyarrow does not know a Series
    from any other sequence.
    """
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(finder)
