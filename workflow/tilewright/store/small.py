"""The small variables of a store's groups: coordinates, counts, sums; written with zarr as xarray would write them.

Not through xarray itself: building a Dataset makes it import dask's and scipy's arrays, which takes a stage a third of a second
and is for nothing here. A test opens them with xarray and compares.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import zarr
from zarr.storage import MemoryStore

_TIME: Final = {"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"}


class Variable(NamedTuple):
    """One array with its dimensions' names and attributes. Text is of dtype object, time datetime64[us] (NaT allowed)."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Small:
    """The small variables of one group; `coordinates` are those that xarray shows as coordinates."""

    coordinates: Mapping[str, Variable]
    data: Mapping[str, Variable] = field(default_factory=dict)
    attrs: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of a variable."""
        return (self.data[name] if name in self.data else self.coordinates[name]).values


def write_small(store: MemoryStore, group: str, small: Small) -> None:
    """Write into `group` ("" is the root), one chunk for each variable."""
    axes = {dim for of in (small.coordinates, small.data) for variable in of.values() for dim in variable.dims}
    named = {name: of.dims for name, of in small.coordinates.items() if name not in axes}
    free = set(named)
    for name, variable in small.data.items():
        own = sorted(each for each, dims in named.items() if set(dims) <= set(variable.dims))
        free -= set(own)
        _write(store, f"{group}/{name}".lstrip("/"), variable, {"coordinates": " ".join(own)} if own else {})
    for name, variable in small.coordinates.items():
        _write(store, f"{group}/{name}".lstrip("/"), variable, {})
    made = zarr.open_group(store, path=group, mode="a")
    made.attrs.update({**small.attrs, **({"coordinates": " ".join(sorted(free))} if free else {})})


def _write(store: MemoryStore, name: str, variable: Variable, more: Mapping[str, Any]) -> None:
    values, attrs = np.asarray(variable.values), {**variable.attrs, **more}
    text = values.dtype.kind in "OU"
    if values.dtype.kind == "M":
        values, attrs = values.astype("datetime64[us]").astype(np.int64), {**attrs, **_TIME}
    array = zarr.create_array(
        store, name=name, shape=values.shape, dtype="string" if text else values.dtype,
        chunks=tuple(max(1, size) for size in values.shape), dimension_names=variable.dims, attributes=attrs,
        fill_value="" if text else np.nan if values.dtype.kind == "f" else 0,
    )  # fmt: skip
    if values.size:
        array[...] = values


def read_small(store: MemoryStore, group: str, names: list[str] | None = None) -> Small:
    """Read the variables `names` of a group with their coordinates; all variables where no names are given.

    Raises:
        Exception: what zarr raises, where the group is not there or damaged.
    """
    node = zarr.open_group(store, path=group, mode="r")
    arrays = {name: one for name, one in node.arrays() if names is None or name in names}
    missing = set(names or ()) - set(arrays)
    if missing:
        raise KeyError(sorted(missing)[0])
    data = set(arrays) if names is not None else set()
    if names is not None:
        related = {name for one in arrays.values() for name in str(one.attrs.get("coordinates", "")).split()}
        related |= {dim for one in arrays.values() for dim in _dims(one)}
        arrays |= {name: one for name, one in node.arrays() if name in related}
    found = {name: _read(one) for name, one in arrays.items()}
    attrs = {name: value for name, value in node.attrs.asdict().items() if name != "coordinates"}
    return Small(
        {name: one for name, one in found.items() if name not in data},
        {name: one for name, one in found.items() if name in data},
        attrs,
    )


def _dims(array: Any) -> tuple[str, ...]:
    return tuple(map(str, array.metadata.dimension_names or ()))


def _read(array: Any) -> Variable:
    values = np.asarray(array[...])
    attrs = array.attrs.asdict()
    if attrs.get("units") == _TIME["units"]:
        values = values.view("datetime64[us]")
    dims = _dims(array)
    return Variable(dims, values.astype(object) if values.dtype.kind == "T" else values, attrs)
