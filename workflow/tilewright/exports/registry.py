"""The layouts by name."""

from tilewright.config.exports import LayoutName
from tilewright.exports.protocol import Layout


def layout_named(name: LayoutName) -> Layout:
    """The layout called `name`; only its own module is imported."""
    layout: Layout
    match name:
        case "ssl4eo-s12":
            from tilewright.exports.ssl4eo import LAYOUT as layout
        case "seasonet":
            from tilewright.exports.seasonet import LAYOUT as layout
        case "opensentinelmap":
            from tilewright.exports.opensentinelmap import LAYOUT as layout
        case "deepsatdata":
            from tilewright.exports.deepsatdata import LAYOUT as layout
        case "geotiff":
            from tilewright.exports.geotiff import LAYOUT as layout
        case "webdataset":
            from tilewright.exports.webdataset import LAYOUT as layout
    return layout
