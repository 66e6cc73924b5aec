"""A deterministic small world: STAC items, images and OSM data of one landscape, and the exact truth about them.

The offline default and what the library is tested against; it shares no grid code with the library.
"""

from tilewright.simulate.make import make_world
from tilewright.simulate.osm import Feature
from tilewright.simulate.products import Product
from tilewright.simulate.radar_schedule import RadarScene
from tilewright.simulate.schedule import SimScene
from tilewright.simulate.watermark import Watermark, decode_watermark
from tilewright.simulate.world import World

__all__ = ["Feature", "Product", "RadarScene", "SimScene", "Watermark", "World", "decode_watermark", "make_world"]
