"""Towns and villages: their streets and houses, works, shops, park, graves, and the lines between them."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from tilewright.simulate.shapes import Shape, blob, polygons, rectangle, rectangles, winding
from tilewright.simulate.spectra import material

_CLASSES = ("residential", "residential", "residential", "tertiary")


@dataclass(frozen=True)
class Town:
    """A settlement: centre and radius in metres, the direction of its streets, its outline."""

    name: str
    x: float
    y: float
    radius: float
    heading: float
    outline: Polygon


def towns(rng: np.random.Generator, side: float, river: LineString) -> list[Town]:
    """The main town, then villages wherever there is room, on dry ground."""
    found: list[Town] = []
    count = 1 + round(11 * (side / 20_000) ** 2)
    main = min(950.0, 0.16 * side)
    for number in range(count):
        for _ in range(30):
            radius = main if number == 0 else float(rng.uniform(170, 400))
            x, y = (-0.12 * side, 0.10 * side) if number == 0 else rng.uniform(-0.46 * side, 0.46 * side, 2)
            apart = all(math.hypot(x - other.x, y - other.y) > 3 * (radius + other.radius) / 2 + 500 for other in found)
            dry = river.distance(Point(x, y)) > 1.5 * radius + 120
            wild = (
                math.hypot(x - 0.3 * side, y - 0.27 * side) < 0.14 * side
                or math.hypot(x - 0.33 * side, y + 0.36 * side) < 0.1 * side
            )
            if number == 0 or (apart and dry and not wild):
                name = "Montebruna" if number == 0 else f"Borgo {number}"
                found.append(
                    Town(
                        name, float(x), float(y), radius, float(rng.uniform(0, math.pi)), blob(rng, x, y, radius, 0.35)
                    )
                )
                break
    return found


def _streets(rng: np.random.Generator, town: Town) -> list[LineString]:
    """Two bent families of streets, cut at the outline."""
    reach, gap = 1.9 * town.radius, 95.0
    phase = rng.uniform(0, 2 * math.pi, 4)
    t = np.arange(-reach, reach, 22.0)
    c, s = math.cos(town.heading), math.sin(town.heading)
    lines = []
    for family in (0, 1):
        step = gap if family == 0 else 1.6 * gap
        for offset in np.arange(-reach, reach, step):
            u, v = (t, np.full_like(t, offset)) if family == 0 else (np.full_like(t, offset), t)
            bent_u = u + 34 * np.sin(v / 260 + phase[0]) + 14 * np.sin(v / 90 + phase[1])
            bent_v = v + 34 * np.sin(u / 240 + phase[2]) + 14 * np.sin(u / 80 + phase[3])
            lines.append(
                LineString(np.column_stack([town.x + c * bent_u - s * bent_v, town.y + s * bent_u + c * bent_v]))
            )
    inside = town.outline.buffer(-14)
    pieces = shapely.get_parts(shapely.intersection(np.array(lines), inside))
    return [piece for piece in pieces if piece.geom_type == "LineString" and piece.length > 60]


def _houses(rng: np.random.Generator, town: Town, streets: list[LineString], free: list[Polygon]) -> np.ndarray:
    """Houses on both sides of every street; none on a street, on another house or on open ground (`free`)."""
    made = []
    for street in streets:
        at = np.arange(14, street.length - 10, 23.0)
        for side in (-1, 1):
            here = at + rng.uniform(-3, 3, len(at))
            points = shapely.get_coordinates(shapely.line_interpolate_point(street, here))
            ahead = shapely.get_coordinates(shapely.line_interpolate_point(street, here + 2))
            angle = np.arctan2(ahead[:, 1] - points[:, 1], ahead[:, 0] - points[:, 0])
            middle = np.exp(-np.hypot(points[:, 0] - town.x, points[:, 1] - town.y) / (0.45 * town.radius))
            back = 13 + rng.uniform(0, 5, len(at)) + 2 * middle
            x, y = points[:, 0] - side * back * np.sin(angle), points[:, 1] + side * back * np.cos(angle)
            along = rng.uniform(9, 14, len(at)) + 7 * middle
            made.append(
                rectangles(x, y, along, rng.uniform(8, 11, len(at)) + 4 * middle, angle)[
                    rng.uniform(size=len(at)) < 0.88
                ]
            )
    houses = np.concatenate(made) if made else np.array([], dtype=object)
    blocked = np.zeros(len(houses), bool)
    if len(houses):
        blocked[shapely.STRtree(streets).query(houses, predicate="dwithin", distance=5)[0]] = True
        if free:
            blocked[shapely.STRtree(free).query(houses, predicate="intersects")[0]] = True
        first, second = shapely.STRtree(houses).query(houses, predicate="intersects")
        blocked[np.maximum(first, second)[first != second]] = True
    return houses[~blocked]


def build(rng: np.random.Generator, town: Town, main: bool) -> list[Shape]:
    """The ground, streets and houses of a town; the main one with a park, a graveyard, a school and a roundabout."""
    garden = material("garden", int(rng.integers(64)))
    shapes = [Shape("area", town.outline, {"landuse": "residential"}, "ground", garden)]
    free: list[Polygon] = []
    radius = town.radius
    if main:
        park = blob(rng, town.x + 0.3 * radius, town.y + 0.25 * radius, 0.2 * radius, 0.3, 32)
        graves = rectangle(town.x - 0.6 * radius, town.y - 0.3 * radius, 0.24 * radius, 0.16 * radius, town.heading)
        school = rectangle(town.x - 0.2 * radius, town.y + 0.35 * radius, 0.2 * radius, 0.16 * radius, town.heading)
        free = [park, graves, school]
        shapes += [
            Shape("area", park, {"leisure": "park"}, "ground", material("park", 4)),
            Shape("area", graves, {"landuse": "cemetery"}, "ground", material("graves", 8)),
            Shape("area", school, {"amenity": "school"}, "ground", material("yard", 2)),
        ]
    streets = _streets(rng, town)
    for number, street in enumerate(streets):
        open_parts = street.difference(shapely.union_all(free)) if free else street
        tags = {"highway": _CLASSES[number % 4]}
        shapes += [
            Shape("line", part, tags, "asphalt", width=7.0)
            for part in shapely.get_parts(open_parts)
            if part.length > 20
        ]
    # Terraces share walls in real towns; here houses stand apart, a few metres between them.
    for number, house in enumerate(_houses(rng, town, streets, free)):
        kind = "yes" if number % 3 else "house"
        shapes.append(Shape("area", house, {"building": kind}, "roof", material("rails", 0)))
    shapes.append(Shape("point", Point(town.x, town.y), {"place": "town" if main else "village", "name": town.name}))
    if main:
        angle = np.linspace(0, 2 * math.pi, 17)
        ring = np.column_stack(
            [town.x + 0.55 * radius + 17 * np.cos(angle), town.y - 0.2 * radius + 17 * np.sin(angle)]
        )
        ring[-1] = ring[0]
        # A closed line that is not an area.
        shapes.append(
            Shape("line", LineString(ring), {"highway": "primary", "junction": "roundabout"}, "asphalt", width=9.0)
        )
        path = winding(
            rng,
            (town.x + 0.15 * radius, town.y + 0.1 * radius),
            (town.x + 0.45 * radius, town.y + 0.4 * radius),
            30,
            12,
            150,
        )
        shapes.append(Shape("line", path, {"highway": "footway"}))
    return shapes


def works(rng: np.random.Generator, town: Town) -> list[Shape]:
    """Industry, shops and greenhouses beside the main town."""
    size = min(1.0, town.radius / 950)
    angle = town.heading
    shapes: list[Shape] = []
    east, south = town.x + 1.75 * town.radius, town.y - 0.55 * town.radius
    for x, y, along, across, landuse in (
        (east, south, 760.0, 480.0, "industrial"),
        (east, south + 620 * size, 380.0, 300.0, "retail"),
        (east + 520 * size, south + 560 * size, 300.0, 300.0, "commercial"),
    ):
        along, across = along * size, across * size
        ground = rectangle(x, y, along, across, angle)
        shapes.append(Shape("area", ground, {"landuse": landuse}, "ground", material("works", int(rng.integers(64)))))
        columns, rows = max(1, round(along / 150)), max(1, round(across / 110))
        for i in range(columns):
            for j in range(rows):
                u, v = ((i + 0.5) / columns - 0.5) * along, ((j + 0.5) / rows - 0.5) * across
                hall_x = x + math.cos(angle) * u - math.sin(angle) * v
                hall_y = y + math.sin(angle) * u + math.cos(angle) * v
                if (i + j) % 5 == 4:
                    lot = rectangle(hall_x, hall_y, 0.7 * along / columns, 0.6 * across / rows, angle)
                    shapes.append(Shape("area", lot, {"amenity": "parking"}, "asphalt"))
                    continue
                hall = rectangle(
                    hall_x,
                    hall_y,
                    along / columns * rng.uniform(0.5, 0.75),
                    across / rows * rng.uniform(0.45, 0.7),
                    angle,
                )
                bright = material("foil" if (i + 2 * j) % 3 == 0 else "works", 5 * i + j)
                shapes.append(Shape("area", hall, {"building": "industrial"}, "ground", bright))
    glass = rectangle(east + 100 * size, south - 560 * size, 320 * size, 180 * size, angle)
    shapes.append(Shape("area", glass, {"landuse": "greenhouse_horticulture"}, "ground", material("foil", 30)))
    return shapes


def network(
    rng: np.random.Generator, side: float, places: list[Town], regions: list[Polygon], lake: BaseGeometry
) -> list[Shape]:
    """Motorway, railway, roads between the settlements, country roads and tracks on the communes' borders but not in the lake."""
    half = side / 2
    square = shapely.box(-half, -half, half, half)
    motorway = winding(rng, (-half, -0.33 * side), (0.42 * side, half), 0.03 * side, 90, side / 2).intersection(square)
    railway = winding(rng, (0.06 * side, -half), (-0.02 * side, half), 0.02 * side, 90, side / 2).intersection(square)
    shapes = [
        Shape("line", part, {"highway": "motorway", "oneway": "yes"}, "asphalt", width=26.0)
        for part in shapely.get_parts(motorway)
    ]
    yard = railway.interpolate(0.45, normalized=True)
    ground = polygons(railway.intersection(yard.buffer(min(450.0, side / 20))).buffer(28, cap_style="flat"), 100)
    shapes += [Shape("area", part, {"landuse": "railway"}, "ground", material("rails", 6)) for part in ground]
    shapes.append(Shape("line", railway, {"railway": "rail"}, "asphalt", width=9.0))
    main = places[0]
    for place in places[1:]:
        nearest = min(
            (other for other in places if other is not place),
            key=lambda other: math.hypot(other.x - place.x, other.y - place.y),
        )
        for other, kind, width in ((main, "primary", 10.0), (nearest, "secondary", 9.0)):
            if other is main and kind == "secondary":
                continue
            if other is main and math.hypot(main.x - place.x, main.y - place.y) > 8000:
                continue
            link = winding(rng, (place.x, place.y), (other.x, other.y), 180, 70, 1800)
            shapes.append(Shape("line", link, {"highway": kind}, "asphalt", width=width))
    for x in (-half, half):
        road = winding(rng, (main.x, main.y), (x, main.y + 0.1 * x), 0.02 * side, 70, 2500).intersection(square)
        shapes += [
            Shape("line", part, {"highway": "primary"}, "asphalt", width=10.0)
            for part in shapely.get_parts(road)
            if part.length > 20
        ]
    borders = shapely.line_merge(shapely.union_all([region.exterior for region in regions]))
    inner = square.buffer(-1).difference(shapely.buffer(lake, 120).buffer(-105))
    for number, border in enumerate(shapely.get_parts(borders.intersection(inner))):
        kind = ("track", "unclassified", "track")[number % 3]
        if border.length > 80:
            shapes.append(Shape("line", border, {"highway": kind}, "asphalt", width=4.0 if kind == "track" else 6.0))
    return shapes
