"""The layouts by name."""

from tilewright.config.exports import LayoutName
from tilewright.exports.protocol import Layout


def layout_named(name: LayoutName) -> Layout:
    """The layout called `name`; only its own module is imported."""
    match name:
        case "ssl4eo-s12":
            from tilewright.exports import ssl4eo

            return ssl4eo.LAYOUT
        case "seasonet":
            from tilewright.exports import seasonet

            return seasonet.LAYOUT
        case "opensentinelmap":
            from tilewright.exports import opensentinelmap

            return opensentinelmap.LAYOUT
        case "deepsatdata":
            from tilewright.exports import deepsatdata

            return deepsatdata.LAYOUT
        case "geotiff":
            from tilewright.exports import geotiff

            return geotiff.LAYOUT
        case "webdataset":
            from tilewright.exports import webdataset

            return webdataset.LAYOUT
