"""The generated map of the label benchmarks: towns, buildings, roads, waterways, woods and fields, from the seed.

Shapes are made in metres right of and below the tile's corner: flat coordinates, and how many belong to each shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from label_world import MAX_NODES, Map, Writer, facts_of
from world import EPSG, SEED, ULX, ULY

# Shares as in Central Europe, roughly; what matters here is that all of the ontology's categories are there.
BUILDINGS = {
    "yes": 55, "house": 18, "residential": 6, "apartments": 4, "garage": 7, "detached": 3, "industrial": 2, "commercial": 1,
    "retail": 1, "farm_auxiliary": 2, "barn": 1,
}  # fmt: skip
STREETS = {
    "residential": 46,
    "service": 28,
    "footway": 8,
    "tertiary": 6,
    "living_street": 4,
    "secondary": 4,
    "unclassified": 4,
}
ROADS = {
    "track": 45, "unclassified": 16, "path": 12, "tertiary": 10, "secondary": 7, "primary": 4, "service": 4, "motorway": 1, "trunk": 1,
}  # fmt: skip
WATERWAYS = {"stream": 60, "ditch": 20, "river": 12, "drain": 5, "canal": 3}
AREAS = {
    "landuse=forest": 22, "landuse=meadow": 18, "landuse=farmland": 16, "landuse=grass": 9, "landuse=residential": 7, "natural=water": 6,
    "natural=scrub": 5, "landuse=farmyard": 4, "landuse=orchard": 3, "leisure=park": 2, "leisure=pitch": 2, "amenity=parking": 3,
    "landuse=industrial": 2, "natural=wetland": 1, "landuse=vineyard": 1, "landuse=cemetery": 1, "landuse=quarry": 1, "natural=bare_rock": 1,
}  # fmt: skip
OTHERS = {"barrier=fence": 50, "barrier=hedge": 20, "power=line": 20, "boundary=administrative": 10}
POINTS = {
    "natural=tree": 50,
    "highway=crossing": 20,
    "amenity=bench": 15,
    "shop=bakery": 5,
    "building=yes": 1,
    "addr:housenumber=1": 9,
}


@dataclass(frozen=True)
class Shapes:
    """Outlines or lines: `xy` (vertex, 2), `counts` (shape,), `tags` (shape,). A ring is closed by its writer."""

    xy: Any
    counts: Any
    tags: list[dict[str, str]]
    ring: bool


def _chosen(rng: Any, shares: dict[str, int], count: int, key: str | None = None) -> list[dict[str, str]]:
    """Tags by their shares: "value" of `key`, or "key=value"."""
    import numpy as np

    weights = np.array(list(shares.values()), float)
    pairs = [(key, name) if key else tuple(name.split("=", 1)) for name in shares]
    return [{pairs[at][0]: pairs[at][1]} for at in rng.choice(len(pairs), count, p=weights / weights.sum()).tolist()]


def _towns(rng: Any, side_m: int) -> tuple[Any, Any, Any, Any]:
    """Middle (town, 2), spread (metres), share of all buildings and direction of the streets of each."""
    import numpy as np

    count = max(2, round(side_m**2 / 30e6))
    share = np.arange(1, count + 1) ** -0.8
    share /= share.sum()
    buildings = share * side_m**2 * 31e-6
    return (
        rng.uniform(0, side_m, (count, 2)),
        1000 * np.sqrt(buildings / (2 * np.pi * 1200)),
        share,
        rng.uniform(0, np.pi / 2, count),
    )


def _in_towns(rng: Any, side_m: int, towns: tuple[Any, ...], count: int) -> tuple[Any, Any]:
    """Places (count, 2) and the towns they are in."""
    import numpy as np

    middle, spread, share, _ = towns
    town = rng.choice(len(share), count, p=share)
    place = middle[town] + spread[town, None] * rng.standard_normal((count, 2))
    return np.clip(place, 0, side_m), town


def _buildings(rng: Any, side_m: int, towns: tuple[Any, ...]) -> Shapes:
    """Boxes (70 %), L and U shapes on plots of 26 m, turned as their town's streets are; one in 5000 a bow-tie."""
    import numpy as np

    wanted = round(side_m**2 * 34e-6)
    place, town = _in_towns(rng, side_m, towns, 2 * wanted)
    alone = rng.random(len(place)) < 0.12
    place[alone] = rng.uniform(0, side_m, (int(alone.sum()), 2))
    plot = (place // 26).astype(np.int64)
    _, first = np.unique(plot[:, 0] * 10**6 + plot[:, 1], return_index=True)
    first = np.sort(first)[:wanted]  # the earlier of two on a plot stays
    count = len(first)
    area = np.clip(np.exp(rng.normal(np.log(150), 0.6, count)), 12, 20_000)
    long = np.sqrt(area * rng.uniform(1, 2.4, count))
    box = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    ell = np.array([[0, 0], [1, 0], [1, 0.5], [0.5, 0.5], [0.5, 1], [0, 1]])
    you = np.array([[0, 0], [1, 0], [1, 1], [0.7, 1], [0.7, 0.4], [0.3, 0.4], [0.3, 1], [0, 1]])
    bow = box[[0, 2, 1, 3]]
    forms, filled = [box, ell, you, bow], np.array([1, 0.75, 0.76, 1])
    form = rng.choice(4, count, p=[0.7, 0.2, 0.0998, 0.0002])
    counts = np.array([len(one) for one in forms])[form]
    unit = np.concatenate([forms[at] for at in form.tolist()]) - 0.5
    size = np.column_stack([long, area / filled[form] / long]).repeat(counts, axis=0)
    angle = (
        np.where(alone[first], rng.uniform(0, np.pi, count), towns[3][town[first]]) + rng.normal(0, 0.03, count)
    ).repeat(counts)
    u, v = (unit * size).T
    middle = (plot[first] * 26 + 13 + rng.uniform(-4, 4, (count, 2))).repeat(counts, axis=0)
    xy = middle + np.column_stack([u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)])
    tags = _chosen(rng, BUILDINGS, count, "building")
    for at in np.flatnonzero(rng.random(count) < 0.35).tolist():
        tags[at] |= {"addr:street": f"Street {town[first[at]]}-{at % 40}", "addr:housenumber": str(1 + at % 80)}
    return Shapes(xy, counts, tags, True)


def _summed(values: Any, counts: Any) -> Any:
    """Running sums that begin anew with each shape."""
    import numpy as np

    total = np.cumsum(values, axis=0)
    first = np.cumsum(counts) - counts
    return total - (total[first] - values[first]).repeat(counts, axis=0)


def _lines(
    rng: Any, start: Any, heading: Any, length_m: float, step_m: float, bend: float, tags: list[dict[str, str]]
) -> Shapes:
    """Paths that wander from `start`, a vertex about every `step_m`; `length_m` is the median."""
    import numpy as np

    counts = np.clip(np.exp(rng.normal(np.log(length_m / step_m), 0.7, len(start))).astype(int) + 1, 2, 300)
    turn = _summed(rng.normal(0, bend, int(counts.sum())), counts) + heading.repeat(counts)
    step = step_m * rng.uniform(0.4, 1.6, len(turn))
    move = np.column_stack([np.cos(turn), np.sin(turn)]) * step[:, None]
    return Shapes(_summed(move, counts) + start.repeat(counts, axis=0), counts, tags, False)


def _blobs(rng: Any, middle: Any, radius: Any, spacing_m: float) -> tuple[Any, Any]:
    """Wavy outlines that never cross themselves (a radius for each direction): flat xy and counts."""
    import numpy as np

    counts = np.clip(2 * np.pi * radius / spacing_m, 6, 4 * MAX_NODES).astype(int)
    at = np.arange(int(counts.sum())) - (np.cumsum(counts) - counts).repeat(counts)
    angle = 2 * np.pi * at / counts.repeat(counts)
    reach = np.ones(len(angle))
    for wave in (2, 3, 5, 9, 17):
        size, phase = rng.uniform(0, 0.5 / wave, len(counts)), rng.uniform(0, 6.28, len(counts))
        reach += size.repeat(counts) * np.sin(wave * angle + phase.repeat(counts))
    reach = np.maximum(reach + rng.normal(0, 0.01, len(angle)), 0.35) * radius.repeat(counts)
    return middle.repeat(counts, axis=0) + np.column_stack([reach * np.cos(angle), reach * np.sin(angle)]), counts


def _split(xy: Any, counts: Any) -> list[Any]:
    import numpy as np

    return np.split(xy, np.cumsum(counts)[:-1])


# -- writing ----------------------------------------------------------------------------------------------------------------


def generated(where: Map) -> dict[str, Any]:
    """Write the seed's map; its facts."""
    import numpy as np
    from pyproj import Transformer

    rng = np.random.default_rng(SEED)
    side, ground = where.side_m, where.side_m**2 * 1e-6
    towns = _towns(rng, side)

    def line_tags(shares: dict[str, int], per_km2: float, key: str | None) -> list[dict[str, str]]:
        return _chosen(rng, shares, round(per_km2 * ground), key)

    plain = [_buildings(rng, side, towns)]
    tags = line_tags(STREETS, 11, "highway")
    place, town = _in_towns(rng, side, towns, len(tags))
    across = rng.integers(0, 4, len(tags)) * np.pi / 2
    plain.append(_lines(rng, place, towns[3][town] + across, 130, 25, 0.06, tags))
    for shares, key, per_km2, length, step, bend in (
        (ROADS, "highway", 7, 500, 35, 0.2), (WATERWAYS, "waterway", 2.5, 600, 30, 0.35), (OTHERS, None, 1.5, 150, 30, 0.2),
    ):  # fmt: skip
        tags = line_tags(shares, per_km2, key)
        plain.append(
            _lines(rng, rng.uniform(0, side, (len(tags), 2)), rng.uniform(0, 6.28, len(tags)), length, step, bend, tags)
        )
    tags = line_tags(AREAS, 3.6, None)
    radius = np.sqrt(np.clip(np.exp(rng.normal(np.log(35_000), 1.4, len(tags))), 100, 8e6) / np.pi)
    kind = rng.choice(3, len(tags), p=[0.84, 0.13, 0.03])  # one ring; with clearings; with a second part
    middle = rng.uniform(0, side, (len(tags), 2))
    xy, counts = _blobs(rng, middle, radius, 22)
    rings = _split(xy, counts)
    single = np.flatnonzero((kind == 0) & (counts <= MAX_NODES))
    plain.append(
        Shapes(np.concatenate([rings[at] for at in single]), counts[single], [tags[at] for at in single], True)
    )
    many = sorted(set(range(len(tags))) - set(single.tolist()))
    # (outer rings, inner rings, tags): those above and a few forests that hold whole cells
    groups: list[tuple[list[Any], list[Any], dict[str, str]]] = []
    for at in many:
        outer, inner = [rings[at]], []
        if kind[at] == 1:
            inner = _clearings(rng, middle[at], radius[at], int(rng.integers(1, 5)))
        elif kind[at] == 2:
            outer += _split(*_blobs(rng, middle[at : at + 1] + 4 * radius[at], radius[at : at + 1] * 0.7, 22))
        groups.append((outer, inner, tags[at]))
    for _ in range(max(1, round(0.012 * ground))):
        wide, spot = rng.uniform(1200, 3500), rng.uniform(0, side, 2)
        ring = _split(*_blobs(rng, spot[None], np.array([wide]), 18))
        groups.append((ring, _clearings(rng, spot, wide, int(rng.integers(5, 120))), {"landuse": "forest"}))

    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True).transform

    def degrees(xy: Any) -> Iterator[tuple[float, float]]:
        lon, lat = to_lonlat(ULX + xy[:, 0], ULY - xy[:, 1])
        return zip(lon.tolist(), lat.tolist(), strict=True)

    writer = Writer(where)
    ids = [[writer.node(*at) for at in degrees(shapes.xy)] for shapes in plain]
    parts = [
        (
            [_closed([writer.node(*at) for at in degrees(ring)]) for ring in outer],
            [_closed([writer.node(*at) for at in degrees(ring)]) for ring in inner],
            about,
        )
        for outer, inner, about in groups
    ]
    dots = line_tags(POINTS, 5, None)
    for (lon, lat), about in zip(degrees(_in_towns(rng, side, towns, len(dots))[0]), dots, strict=True):
        writer.node(lon, lat, about)
    for shapes, nodes in zip(plain, ids, strict=True):
        first = 0
        for count, about in zip(shapes.counts.tolist(), shapes.tags, strict=True):
            each = nodes[first : first + count]
            first += count
            writer.way(_closed(each) if shapes.ring else each, about)
    relations = []
    for outer, inner, about in parts:
        members = []
        for ring in outer:
            pieces = max(-(-len(ring) // MAX_NODES), 1 + len(ring) % 3 // 2)  # a third of the outlines in two ways
            cut = [len(ring) * piece // pieces for piece in range(pieces + 1)]
            members += [("w", writer.way(ring[a : b + 1], {}), "outer") for a, b in itertools.pairwise(cut)]
        for at, ring in enumerate(inner):
            members.append(("w", writer.way(ring, {"landuse": "meadow"} if at % 2 else {}), "inner"))
        relations.append((members, {"type": "multipolygon", **about}))
    for members, about in relations:
        writer.relation(members, about)
    writer.close()
    return facts_of(writer, f"generated, seed {SEED}")


def _clearings(rng: Any, middle: Any, radius: float, count: int) -> list[Any]:
    """Holes that touch neither each other nor the outline: on a lattice inside the radius that every outline has."""
    import numpy as np

    across = int(np.ceil(np.sqrt(count))) + 1
    pitch = 2 * 0.35 / np.sqrt(2) * radius / across
    spots = rng.permutation(across**2)[:count]
    at = middle + (np.column_stack([spots // across, spots % across]) + 0.5 - across / 2) * pitch
    return _split(*_blobs(rng, at, rng.uniform(0.1, 0.24, len(at)) * pitch, 15))


def _closed(nodes: list[int]) -> list[int]:
    return [*nodes, nodes[0]]
