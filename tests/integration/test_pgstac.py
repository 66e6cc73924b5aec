"""An independent STAC API, stac-fastapi-pgstac on PostGIS, gives exactly the catalog's items: its paging and filters are not of our making."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
import shapely
from pgstac_server import pgstac
from pyproj import Transformer

from tilewright.catalog.find import find_items
from tilewright.config.provider import Access, Provider, ProviderCollection, TileFilter
from tilewright.errors import TilewrightError
from tilewright.grid import Tile, tile

START, END = date(2019, 3, 1), date(2019, 4, 30)
MIDNIGHT = datetime(2019, 3, 1, tzinfo=UTC)
L2A, L1C, GRD = "sentinel-2-l2a", "sentinel-2-l1c", "sentinel-1-grd"
# The same ground in two zones; zones that are written 1 or 01; and ground on both sides of 180°.
INLAND, ACROSS_ZONES, PADDED, ANTIMERIDIAN = "32TQM", "33TTG", "01KAB", "01GBQ"
FILTERS: dict[str, TileFilter | None] = {
    "box": None, "query": TileFilter(by="query"), "cql2": TileFilter(by="cql2"),
    "query of one spelling": TileFilter(by="query", values=["MGRS-{unpadded}"]),
    "cql2 of another property": TileFilter(by="cql2", property="s2:mgrs_tile", values=["{tile}"]),
}  # fmt: skip
Item = dict[str, Any]


def outline(of: Tile) -> shapely.Geometry:
    """The tile's corners in degrees, cut at the antimeridian."""
    west, south, east, north = of.bounds
    ring = zip(*Transformer.from_crs(of.epsg, 4326, always_xy=True).transform([west, east, east, west], [south, south, north, north]), strict=True)  # fmt: skip
    around = shapely.Polygon([(lon % 360, lat) for lon, lat in ring])
    if around.bounds[2] - around.bounds[0] > 180:  # at Greenwich
        return shapely.Polygon([((lon + 180) % 360 - 180, lat) for lon, lat in around.exterior.coords])
    parts = [
        shapely.affinity.translate(shapely.intersection(around, shapely.box(turn - 180, -90, turn + 180, 90)), -turn)
        for turn in (0, 360)
    ]
    return shapely.union_all(parts)


def item(name: str, collection: str, time: datetime, ground: shapely.Geometry, **properties: Any) -> Item:
    stamp = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": name, "collection": collection,
        "geometry": shapely.geometry.mapping(ground), "bbox": list(ground.bounds), "links": [],
        "properties": {"datetime": stamp, "eo:cloud_cover": 2.5, "updated": None, **properties},
        "assets": {"red": {"href": f"https://imagery.example/{name}/B04.tif", "proj:shape": [10980, 10980]}},
    }  # fmt: skip


def optical(collection: str, of: str, days: float, spelling: str) -> Item:
    level = collection[-3:].upper()
    return item(
        f"S2A_{spelling}_{days:.6f}_{level}", collection, MIDNIGHT + timedelta(days=days), outline(tile(of)),
        **{"grid:code": f"MGRS-{spelling}", "s2:mgrs_tile": of},
    )  # fmt: skip


def catalog() -> tuple[list[Item], Callable[[str, str], list[str]]]:
    """Items, and the ids that a search from START to END of a collection and tile must find, by time and id."""
    second = 1 / 86400
    # every fifth day; the first and the last moment of the span, and those just outside it
    days = [*range(-10, 75, 5), second / 2, -second / 2, 61 - second / 2, 61.0, 61 + second / 2]
    items, of = [], {}
    for collection in (L2A, L1C):
        for name in (INLAND, ACROSS_ZONES, PADDED, ANTIMERIDIAN):
            for number, day in enumerate(days):
                # both spellings in one catalog, as Earth Search's items have them since it changed its writer
                spelling = name if number % 2 else name.lstrip("0")
                made = optical(collection, name, day, spelling)
                of[made["id"]] = (collection, name)
                items.append(made)
    # drawn the wrong way round the earth
    wrong = optical(L2A, ANTIMERIDIAN, 3, "1GBQ")
    west, south, east, north = (round(edge, 6) for edge in outline(tile(ANTIMERIDIAN)).bounds)
    ring = [[lon, lat] for lon, lat in shapely.box(west, south, east, north).exterior.coords]
    items.append(wrong | {"geometry": {"type": "Polygon", "coordinates": [ring]}})
    of[wrong["id"]] = (L2A, ANTIMERIDIAN)
    time = {each["id"]: datetime.fromisoformat(each["properties"]["datetime"]) for each in items}

    def wanted(collection: str, name: str) -> list[str]:
        found = [
            each for each, place in of.items() if place == (collection, name) and START <= time[each].date() <= END
        ]
        return sorted(found, key=lambda each: (time[each], each))

    return items, wanted


def radar() -> tuple[list[Item], list[str]]:
    """Slices along a slanting orbit, and the ids of those that meet INLAND: one only by its bounding box does not."""
    lon, lat = outline(tile(INLAND)).centroid.coords[0]
    slices = {"over": (0, 0), "beside": (0.9, 0), "away": (4, 0), "corner": (1.35, -0.85)}
    items, meeting = [], []
    ground = outline(tile(INLAND))
    for name, (east, north) in slices.items():
        corners = [(-0.6, 0.9), (0.1, 1), (0.6, -0.9), (-0.1, -1)]
        swath = shapely.Polygon([(lon + east + x, lat + north + y) for x, y in corners])
        items.append(item(f"S1A_{name}", GRD, MIDNIGHT + timedelta(days=7), swath, **{"sar:instrument_mode": "IW"}))
        if swath.intersects(ground):
            meeting.append(f"S1A_{name}")
    return items, sorted(meeting)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[str, str], list[str]]]]:
    items, wanted = catalog()
    with pgstac([*items, *radar()[0]], tmp_path_factory.mktemp("pgstac") / "log") as url:
        yield url, wanted


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots of requests are kept below the working directory."""
    monkeypatch.chdir(tmp_path)


def provider(url: str, filter: TileFilter | None = None, page_size: int = 100) -> Provider:
    held = {
        key: ProviderCollection(id=name, assets={"B04": "red", "SCL": "scl"}, radiometry="baseline", filter=filter)
        for key, name in (("s2_l2a", L2A), ("s2_l1c", L1C))
    }
    held["s1_grd"] = ProviderCollection(
        id=GRD, assets={"VV": "vv"}, radiometry="amplitude", mask="pixels", filter=filter
    )
    return Provider(
        kind="api", url=url, page_size=page_size, access=Access(), licence="", attribution="", collections=held
    )


def found(provider: Provider, name: str, key: str = "s2_l2a") -> list[str]:
    return [each["id"] for each in find_items(provider, key, tile(name), START, END)]


@pytest.mark.parametrize("name", [INLAND, ACROSS_ZONES, PADDED, ANTIMERIDIAN])
@pytest.mark.parametrize("by", ["box", "query", "cql2", "cql2 of another property"])
def test_a_tile_is_found_whole_however_it_is_asked_for(by: str, name: str, served):
    url, wanted = served
    expected = wanted(L2A, name)
    assert len(expected) == 15 + (name == ANTIMERIDIAN)
    assert found(provider(url, FILTERS[by]), name) == expected


def test_a_filter_that_knows_one_spelling_finds_that_one(served):
    """What a wrong provider file costs, and that `query` does reach the server: the other tests would pass without it."""
    url, wanted = served
    unpadded = [each for each in wanted(L2A, PADDED) if "_1KAB_" in each]
    assert 0 < len(unpadded) < len(wanted(L2A, PADDED))
    assert found(provider(url, FILTERS["query of one spelling"]), PADDED) == unpadded


@pytest.mark.parametrize("size", [1, 4, 7, 15])
@pytest.mark.parametrize("by", ["box", "query", "cql2"])
def test_pages_of_any_size_lose_nothing_and_double_nothing(by: str, size: int, served):
    url, wanted = served
    assert found(provider(url, FILTERS[by], size), INLAND) == wanted(L2A, INLAND)


def test_other_collections_on_the_same_ground_are_their_own(served):
    url, wanted = served
    assert found(provider(url, FILTERS["cql2"]), PADDED, "s2_l1c") == wanted(L1C, PADDED)


@pytest.mark.parametrize("by", ["box", "cql2"])
def test_radar_is_found_by_its_footprint(by: str, served):
    url, _ = served
    items, meeting = radar()
    assert set(meeting) == {"S1A_over", "S1A_beside"} and len(items) == 4
    assert found(provider(url, FILTERS[by]), INLAND, "s1_grd") == meeting


def test_items_come_as_they_were_given(served):
    """Hydration and the database's own order of keys change nothing that is kept."""
    url, _ = served
    given = {each["id"]: each for each in catalog()[0]}
    for each in find_items(provider(url), "s2_l2a", tile(ANTIMERIDIAN), START, END):
        own = given[each["id"]]
        own["properties"] = {name: value for name, value in own["properties"].items() if value is not None}
        assert {name: each[name] for name in ("id", "collection", "properties", "assets", "bbox")} == {
            name: own[name] for name in ("id", "collection", "properties", "assets", "bbox")
        }
        assert shapely.geometry.shape(each["geometry"]).equals(shapely.geometry.shape(own["geometry"]))


def test_a_filter_of_a_property_that_no_item_has_is_an_error(served):
    url, _ = served
    with pytest.raises(TilewrightError, match=r"its filter of tiles finds nothing, although it has S2A_32TQM"):
        found(provider(url, TileFilter(by="cql2", property="tile:name")), INLAND)


def test_a_collection_that_is_not_there_gives_nothing(served):
    url, _ = served
    other = provider(url)
    held = {"s2_l2a": other.collections["s2_l2a"].model_copy(update={"id": "sentinel-2-c1-l2a"})}
    assert find_items(other.model_copy(update={"collections": held}), "s2_l2a", tile(INLAND), START, END) == []


def test_the_server_is_as_we_were_told(served):
    """Its quirks, on which some of the tests above lean: where they go away, so may what is done about them."""
    url, _ = served
    body = {"collections": [L2A], "limit": 5}
    refused = requests.post(f"{url}/search", json={**body, "query": {"grid:code": {"in": ["MGRS-32TQM"]}}}, timeout=60)
    assert refused.status_code == 400
    page = requests.post(f"{url}/search", json=body, timeout=60).json()
    assert len(page["features"]) == 5 < page["numberMatched"]
