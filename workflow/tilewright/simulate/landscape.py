"""One continuous landscape, from which every tile's pixels and the OSM data are made."""

import math

import numpy as np
import pyproj
import shapely
from shapely.geometry import Polygon

from tilewright.config.simulated import Site
from tilewright.simulate import countryside, settlement
from tilewright.simulate.mgrs import frame
from tilewright.simulate.seeded import generator
from tilewright.simulate.shapes import Shape, rectangle, rectangles
from tilewright.simulate.spectra import material

_LATTICE_M = 1920  # the default cell: houses stand across its edges


def local_crs(site: Site) -> str:
    """The site's own plane: metres east and north of its centre."""
    return f"+proj=aeqd +lat_0={site.lat!r} +lon_0={site.lon!r} +datum=WGS84 +units=m +type=crs"


def _farms(rng: np.random.Generator, site: Site) -> np.ndarray:
    """Lone houses: anywhere, within metres of the site's edges, and across the edges of the first tile's default cells."""
    side = site.side_m
    count = round(220 * (side / 20_000) ** 2) + 6
    x, y = rng.uniform(-side / 2 + 40, side / 2 - 40, (2, count))
    near = np.linspace(-0.44, 0.44, 9) * side
    rim = side / 2 - 8.0
    x = np.concatenate([x, near, near, np.full(9, -rim), np.full(9, rim)])
    y = np.concatenate([y, np.full(9, -rim), np.full(9, rim), near, near])
    utm = pyproj.Transformer.from_crs(local_crs(site), frame(site.tiles[0]).epsg, always_xy=True)
    left, bottom, right, top = utm.transform_bounds(-side / 2, -side / 2, side / 2, side / 2)
    first = [math.ceil(edge / _LATTICE_M) * _LATTICE_M for edge in (left, bottom)]
    east, north = np.meshgrid(np.arange(first[0], right, _LATTICE_M), np.arange(first[1], top, _LATTICE_M))
    edge_x, edge_y = utm.transform(east.ravel() + 2.0, north.ravel() + 300.0, direction="INVERSE")
    corner_x, corner_y = utm.transform(east.ravel() + 1.0, north.ravel() - 1.0, direction="INVERSE")
    x, y = np.concatenate([x, edge_x, corner_x]), np.concatenate([y, edge_y, corner_y])
    inside = np.maximum(abs(x), abs(y)) < side / 2 - 7.5
    x, y = x[inside], y[inside]
    angle = np.where(np.arange(len(x)) < count, rng.uniform(0, math.pi, len(x)), 0.0)
    return rectangles(x, y, rng.uniform(11, 14, len(x)), rng.uniform(9, 13, len(x)), angle)


def _scattered(farms: np.ndarray, taken: list[Shape]) -> list[Shape]:
    """The farms that stand on no other thing."""
    blocked = np.zeros(len(farms), bool)
    areas = [shape.geometry for shape in taken if shape.kind == "area"]
    lines = [shape.geometry for shape in taken if shape.kind == "line"]
    blocked[shapely.STRtree(areas).query(farms, predicate="intersects")[0]] = True
    blocked[shapely.STRtree(lines).query(farms, predicate="dwithin", distance=12)[0]] = True
    first, second = shapely.STRtree(farms).query(farms, predicate="intersects")
    blocked[np.maximum(first, second)[first != second]] = True
    shapes = []
    for farm in farms[~blocked]:
        shapes.append(Shape("area", farm, {"building": "farm"}, "roof"))
    return shapes


def landscape(seed: int, site: Site) -> list[Shape]:
    """Everything on the site, in metres from its centre, in the order in which it is painted; all within its square."""
    side = float(site.side_m)
    square = rectangle(0, 0, side, side, 0)

    def rng(part: str) -> np.random.Generator:
        return generator(seed, site.name, part)

    river, river_line = countryside.river(rng("river"), side)
    lake = countryside.lake(rng("lake"), side)
    places = settlement.towns(rng("towns"), side, river_line)
    built = [settlement.build(rng(f"town {number}"), place, number == 0) for number, place in enumerate(places)]
    works = settlement.works(rng("works"), places[0])
    quarry = countryside.quarry(rng("quarry"), side)
    water = next(shape.geometry for shape in lake if "water" in (shape.tags or {}))
    grounds = [river, lake, quarry, works, *([town[0]] for town in built)]
    solid = [shape.geometry for group in grounds for shape in group if shape.kind == "area"]
    woods = countryside.woods(
        rng("woods"), side, square, shapely.union_all([geometry.buffer(25) for geometry in solid])
    )
    regions = countryside.communes(rng("communes"), side, square)
    fields = countryside.fields(
        rng("fields"), regions, solid + [shape.geometry for shape in woods if shape.kind == "area"]
    )
    roads = settlement.network(rng("roads"), side, places, regions, water)
    fixed = [*woods, *lake, *river, *quarry, *works, *(shape for town in built for shape in town), *roads]
    farms = _scattered(_farms(rng("farms"), site), fixed)
    return [kept for shape in (*fields, *fixed, *farms) for kept in _within(shape, square)]


def _within(shape: Shape, square: Polygon) -> list[Shape]:
    """The parts of a shape inside the site."""
    if square.contains(shape.geometry):
        return [shape]
    parts = shapely.get_parts(shape.geometry.intersection(square))
    wanted = {"area": "Polygon", "line": "LineString", "point": "Point"}[shape.kind]
    return [
        Shape(shape.kind, part, shape.tags, shape.cover, shape.material, shape.width)
        for part in parts
        if part.geom_type == wanted and (shape.kind == "point" or part.length > 10)
    ]


def background(seed: int, site: Site) -> int:
    """Material of ground where nothing is painted."""
    return material("rough", int(generator(seed, site.name, "background").integers(64)))
