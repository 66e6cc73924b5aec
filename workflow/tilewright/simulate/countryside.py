"""River, lake, woods, quarry and fields of a site."""

import math

import numpy as np
import shapely
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from tilewright.simulate.shapes import Shape, blob, polygons, split, winding
from tilewright.simulate.spectra import material

_PARCEL_M2 = 45_000.0  # median field
# Land use of fields and the share of each; None: ground that nobody mapped.
_FIELDS: tuple[tuple[str, float, dict[str, str] | None], ...] = (
    ("wheat", 0.27, {"landuse": "farmland", "crop": "wheat"}), ("maize", 0.15, {"landuse": "farmland"}),
    ("rape", 0.07, {"landuse": "farmland"}), ("beet", 0.05, {"landuse": "farmland"}),
    ("meadow", 0.20, {"landuse": "meadow"}), ("fallow", 0.05, {"landuse": "grass"}),
    ("vines", 0.04, {"landuse": "vineyard"}), ("orchard", 0.04, {"landuse": "orchard"}),
    ("heath", 0.03, {"natural": "scrub"}), ("rough", 0.10, None),
)  # fmt: skip


def river(rng: np.random.Generator, side: float) -> tuple[list[Shape], LineString]:
    """The river from the west edge to the east edge: its water, its centre line, a stream that joins it."""
    width = min(95.0, side / 55)
    line = winding(rng, (-side / 2, -0.10 * side), (side / 2, -0.20 * side), 0.07 * side, side / 300, side / 4)
    centre = np.array(line.coords)
    along = np.gradient(centre, axis=0)
    normal = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
    t = np.linspace(0, 1, len(centre))
    half = width / 2 * (1 + 0.25 * np.sin(2 * math.pi * 3 * t + 1) + 0.12 * np.sin(2 * math.pi * 11 * t))[:, None]
    bank = Polygon(np.concatenate([centre + normal * half, (centre - normal * half)[::-1]])).buffer(0)
    mouth = centre[int(0.62 * len(centre))]
    stream = winding(
        rng, (0.12 * side, 0.5 * side), (float(mouth[0]), float(mouth[1])), 0.06 * side, side / 250, side / 6
    )
    water = material("river", int(rng.integers(64)))
    shapes = [
        Shape("area", part, {"natural": "water", "water": "river"}, "ground", water) for part in polygons(bank, 100)
    ]
    shapes.append(Shape("line", line, {"waterway": "river", "name": "Ambra"}))
    shapes.append(Shape("line", stream, {"waterway": "stream"}))
    shapes.append(Shape("area", stream.buffer(9), None, "ground", material("leafwood", 3)))  # trees along the stream
    return shapes, line


def lake(rng: np.random.Generator, side: float) -> list[Shape]:
    """A lake with a wooded island, and reeds on its shore."""
    x, y, radius = 0.30 * side, 0.27 * side, min(850.0, 0.085 * side)
    outline = blob(rng, x, y, radius, 0.35)
    island = blob(rng, x + 0.2 * radius, y - 0.1 * radius, 0.16 * radius, 0.2, 24)
    reeds = (
        outline.buffer(0.12 * radius)
        .difference(outline)
        .intersection(shapely.box(x, y - 2 * radius, x + 2 * radius, y + 2 * radius))
    )
    shapes = [
        Shape("area", part, {"natural": "wetland", "wetland": "reedbed"}, "ground", material("wetland", 5))
        for part in polygons(reeds, 2000)
    ]
    water = outline.difference(island)
    shapes.append(
        Shape(
            "area", water, {"natural": "water", "water": "lake", "name": "Lago Chiaro"}, "ground", material("lake", 9)
        )
    )
    shapes.append(Shape("area", island, {"natural": "wood"}, "ground", material("leafwood", 11)))
    return shapes


def woods(rng: np.random.Generator, side: float, square: Polygon, keep_out: BaseGeometry) -> list[Shape]:
    """Woods of a few joined blobs each; the largest has a clearing, some have conifer stands."""
    count = max(3, round(26 * (side / 20_000) ** 2))
    largest = min(1100.0, 0.11 * side)
    found: list[Polygon] = []
    taken: BaseGeometry = keep_out
    for number in range(count):
        x, y = rng.uniform(-side / 2, side / 2, 2) if number else (-0.30 * side, 0.33 * side)
        radius = largest * (1.0 if number == 0 else float(np.clip(rng.lognormal(-1.0, 0.5), 0.15, 0.9)))
        heading, parts = rng.uniform(0, math.pi), []
        for step in range(int(rng.integers(2, 6)) if number else 4):
            shift = (step - 1.5) * radius * 0.9
            parts.append(
                blob(rng, x + shift * math.cos(heading), y + shift * math.sin(heading), radius * rng.uniform(0.6, 1.0))
            )
        wood = shapely.simplify(shapely.union_all(parts), 4).intersection(square).difference(taken)
        found += polygons(wood, 4000)
        taken = shapely.union_all([taken, wood])
    found.sort(key=lambda part: -part.area)
    shapes = []
    for number, wood in enumerate(found):
        kind = "needlewood" if number % 4 == 2 else "leafwood"
        tags = {"natural": "wood"} if number % 5 == 4 else {"landuse": "forest"}
        variant = int(rng.integers(64))
        core = wood.buffer(-60)
        if number < 2 and not core.is_empty:
            # A clearing, mapped as a meadow inside the relation's hole; a second hole that nobody mapped.
            middle = core.representative_point()
            hole = blob(rng, middle.x, middle.y, min(220.0, 0.2 * math.sqrt(wood.area)), 0.3, 28).intersection(core)
            holes = polygons(hole, 1500)[:1]
            wood = wood.difference(shapely.union_all(holes)) if holes else wood
            shapes.append(Shape("area", wood, tags, "ground", material(kind, variant)))
            shapes += [
                Shape("area", hole, {"landuse": "meadow"}, "ground", material("meadow", variant)) for hole in holes
            ]
        else:
            shapes.append(Shape("area", wood, tags, "ground", material(kind, variant)))
        for part in polygons(core, 200_000):
            # A stand of other trees, which OSM does not know of, somewhere near the middle.
            x, y = part.representative_point().coords[0]
            x, y = x + 0.3 * math.sqrt(part.area) * rng.normal(), y + 0.3 * math.sqrt(part.area) * rng.normal()
            stand = blob(rng, x, y, 0.22 * math.sqrt(part.area), 0.4).intersection(wood)
            other = "leafwood" if kind == "needlewood" else "needlewood"
            shapes += [
                Shape("area", piece, None, "ground", material(other, variant + 7)) for piece in polygons(stand, 3000)
            ]
    return shapes


def quarry(rng: np.random.Generator, side: float) -> list[Shape]:
    """A quarry with a pond."""
    x, y, radius = 0.33 * side, -0.36 * side, min(330.0, 0.06 * side)
    pit = blob(rng, x, y, radius, 0.3, 40)
    pond = blob(rng, x - 0.3 * radius, y, 0.25 * radius, 0.3, 20)
    return [
        Shape("area", pit, {"landuse": "quarry"}, "ground", material("pit", 3)),
        Shape("area", pond, {"natural": "water", "water": "pond"}, "ground", material("lake", 21)),
    ]


def communes(rng: np.random.Generator, side: float, square: Polygon) -> list[Polygon]:
    """The square cut into irregular convex regions of about 1.7 km, whose borders carry the country roads."""
    count = max(2, round(side / 1700))
    step = side / count
    where = (np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2) + 0.5) * step - side / 2
    where = where + rng.uniform(-0.36 * step, 0.36 * step, where.shape)
    cells = shapely.voronoi_polygons(shapely.multipoints(where), extend_to=square)
    clipped = [part for cell in shapely.get_parts(cells) for part in polygons(cell.intersection(square), 1000)]
    return sorted(clipped, key=lambda part: (part.centroid.x, part.centroid.y))


def _parcels(rng: np.random.Generator, ring: np.ndarray, heading: float, size: float) -> list[np.ndarray]:
    """A convex region cut into fields of about `size` square metres, mostly parallel to `heading`."""
    stack, done = [ring], []
    along = np.array([math.cos(heading), math.sin(heading)])
    across = np.array([-along[1], along[0]])
    while stack:
        ring = stack.pop()
        x, y = ring.T
        area = 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
        if area < size * float(rng.lognormal(0.35, 0.6)):
            done.append(ring)
            continue
        long, wide = float(np.ptp(ring @ along)), float(np.ptp(ring @ across))
        normal = along if long > 2.1 * wide else across
        tilt = rng.normal(0, 0.05)
        normal = normal + tilt * np.array([-normal[1], normal[0]])
        reach = ring @ normal
        at = float(reach.min() + np.ptp(reach) * rng.uniform(0.36, 0.64))
        stack += split(ring, normal * at / float(normal @ normal), normal)
    return done


def fields(rng: np.random.Generator, regions: list[Polygon], obstacles: list[BaseGeometry]) -> list[Shape]:
    """Fields on all ground that no obstacle takes."""
    kinds = [kind for kind, _, _ in _FIELDS]
    tags = {kind: tag for kind, _, tag in _FIELDS}
    shares = np.array([share for _, share, _ in _FIELDS])
    tree = shapely.STRtree(obstacles)
    shapes = []
    for region in regions:
        # A commune favours some crops, so that the country is not the same salad everywhere.
        local = shares * rng.lognormal(0, 0.7, len(shares))
        local /= local.sum()
        rings = _parcels(
            rng,
            np.array(region.exterior.coords)[:-1],
            float(rng.uniform(0, math.pi)),
            _PARCEL_M2 * float(rng.lognormal(0, 0.45)),
        )
        outlines = [Polygon(ring) for ring in rings]
        hits: dict[int, list[int]] = {}
        for parcel, obstacle in tree.query(outlines, predicate="intersects").T:
            hits.setdefault(int(parcel), []).append(int(obstacle))
        for index, outline in enumerate(outlines):
            kind = kinds[int(rng.choice(len(kinds), p=local))]
            variant = int(rng.integers(64))
            left: BaseGeometry = outline
            for obstacle in sorted(hits.get(index, [])):
                left = left.difference(obstacles[obstacle])
            shapes += [
                Shape("area", part, tags[kind], "ground", material(kind, variant)) for part in polygons(left, 2500)
            ]
    return shapes
