"""Pickles of numpy arrays that any Python since 3.4 and any numpy read, and that are the same bytes at any time."""

import pickle
from io import BytesIO
from typing import Any, Final

import numpy as np

PROTOCOL: Final = 4


class _Pickler(pickle.Pickler):
    """Names `numpy.ndarray` and `numpy.int32` where numpy's own way names functions of a module that numpy 2 has moved."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is np.ndarray:
            # of a bytearray, which may be written to, as readers expect of an array
            return np.ndarray, (obj.shape, obj.dtype.str, bytearray(np.ascontiguousarray(obj)))
        if isinstance(obj, np.generic):
            return type(obj), (obj.item(),)
        return NotImplemented


def pickled(document: dict[str, Any]) -> bytes:
    """A dict of arrays and numpy numbers as a pickle."""
    made = BytesIO()
    _Pickler(made, PROTOCOL).dump(document)
    return made.getvalue()
