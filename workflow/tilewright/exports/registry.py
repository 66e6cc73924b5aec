"""The layouts by name."""

from importlib import import_module

from tilewright.exports.protocol import Layout

# each in a module of its own, imported when it is used
_MODULES = {
    "ssl4eo-s12": "ssl4eo", "seasonet": "seasonet", "opensentinelmap": "opensentinelmap", "deepsatdata": "deepsatdata",
    "geotiff": "geotiff", "webdataset": "webdataset",
}  # fmt: skip


def layout_named(name: str) -> Layout:
    """The layout called `name`."""
    layout: Layout = import_module(f"tilewright.exports.{_MODULES[name]}").LAYOUT
    return layout
