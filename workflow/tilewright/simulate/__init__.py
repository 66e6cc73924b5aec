"""A deterministic small world: STAC items, COGs and OSM data of one landscape, and the exact truth about them.

The offline default and what the library is tested against; it shares no grid code with the library.
"""

from tilewright.simulate.make import make_world
from tilewright.simulate.osm import Feature
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.watermark import Watermark, decode_watermark
from tilewright.simulate.world import World

__all__ = ["Feature", "SimScene", "Watermark", "World", "decode_watermark", "make_world"]
