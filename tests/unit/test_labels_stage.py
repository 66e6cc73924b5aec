"""The stage `labels`: what stands in the store, and that a cell's array depends on nothing far away."""

import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import shapely
import yaml

from tilewright.config.label_sets import ODBL, OsmFile, Parcels, RasterFile, Regions
from tilewright.config.label_settings import FeaturesSettings, LabelSetSettings, LabelsSettings, SourceSettings
from tilewright.errors import TilewrightError
from tilewright.stages.features import MARGIN_M, make_features
from tilewright.stages.labels import make_labels
from tilewright.stages.source import make_source
from tilewright.store import write_table
from tilewright.store.zarrzip import StoreReader
from tilewright.vector.ontology import MAX_DILATE_M, Ontology

EPSG, ULX, ULY, SIZE = 32632, 538_560, 5_221_440, 240
TO_LONLAT = pyproj.Transformer.from_crs(EPSG, 4326, always_xy=True)


def lonlat(geometry: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(geometry, lambda xy: np.column_stack(TO_LONLAT.transform(xy[:, 0], xy[:, 1])))


def write_cells(path: Path, corners: list[tuple[int, int]], size_m: int = SIZE) -> Path:
    boxes = [lonlat(shapely.box(ulx, uly - size_m, ulx + size_m, uly)) for ulx, uly in corners]
    table = gpd.GeoDataFrame(
        {
            "cell_id": np.array([f"32TNT-{ulx}-{uly}" for ulx, uly in corners], dtype=object), "tile": "32TNT",
            "epsg": np.full(len(corners), EPSG, dtype=np.int32),
            "ulx": np.array([corner[0] for corner in corners], dtype=np.int32),
            "uly": np.array([corner[1] for corner in corners], dtype=np.int32),
            "size_m": np.full(len(corners), size_m, dtype=np.int32),
        },
        geometry=boxes, crs="EPSG:4326",
    )  # fmt: skip
    write_table(table, path, {"size_m": size_m})
    return path


def write_features(path: Path, rows: list[tuple[str, str, shapely.Geometry]], extent=None, sets=("osm",)) -> Path:
    """`rows`: kind, tags, UTM geometry."""
    frame = gpd.GeoDataFrame(
        {
            "label_set": [name for name in sets for _ in rows], "source_type": "way",
            "source_id": np.array([*range(1, len(rows) + 1)] * len(sets), dtype=np.int64),
            "kind": [row[0] for row in rows] * len(sets), "tags": [row[1] for row in rows] * len(sets),
        },
        geometry=[lonlat(row[2]) for row in rows] * len(sets), crs="EPSG:4326",
    ).astype({"label_set": str, "source_type": str, "kind": str, "tags": str})  # fmt: skip
    about = {"source": "a.osm.pbf", "snapshot": "2020-01-01T00:00:00Z", "extent": extent and shapely.box(*extent).wkt}
    write_table(frame, path, {"label_sets": dict.fromkeys(sets, about)})
    return path


@pytest.fixture
def settings(root) -> LabelsSettings:
    ontology = str(root / "config" / "ontologies" / "opensentinelmap.yaml")
    return of(ontology)


def of(ontology: str | Path, name: str = "osm", **more) -> LabelsSettings:
    told = {"kind": "pbf", "licence": ODBL, "family": name, **more}
    return LabelsSettings(sets={name: LabelSetSettings(ontology=ontology and str(ontology), **told)})


ROWS = [
    ("area", '{"natural":"wood"}', shapely.box(ULX - 33, ULY - 207, ULX + 104, ULY + 47)),
    ("area", '{"building":"house"}', shapely.box(ULX + 151, ULY - 88, ULX + 163, ULY - 76)),
    ("line", '{"highway":"primary"}', shapely.LineString([(ULX - 300, ULY - 31), (ULX + 700, ULY - 202)])),
    ("area", '{"natural":"water"}', shapely.box(ULX + 181, ULY - 407, ULX + 404, ULY - 147)),
    ("point", '{"man_made":"tower"}', shapely.Point(ULX + 222.2, ULY - 11.1)),
]


def labels_of(path: Path, name: str = "osm"):
    with StoreReader(path) as reader:
        return reader.tree()[name].to_dataset().load()


def test_store(tmp_path, settings):
    cells = write_cells(tmp_path / "cells.parquet", [(ULX, ULY), (ULX + 240, ULY), (ULX + 4_800, ULY)])
    features = write_features(tmp_path / "features.parquet", ROWS)
    make_labels(cells, features, settings, tmp_path / "labels.zarr.zip")
    found = labels_of(tmp_path / "labels.zarr.zip")
    assert found["labels"].dims == ("cell", "channel", "y", "x")
    assert (found["labels"].shape, found["labels"].dtype) == ((3, 3, 24, 24), np.uint8)
    assert found["labels"].encoding["chunks"] == (1, 3, 24, 24)
    assert found["cell_id"].values.tolist() == [f"32TNT-{x}-{ULY}" for x in (ULX, ULX + 240, ULX + 4_800)]
    assert found["channel"].values.tolist() == ["land_use", "water_and_roads", "buildings"]
    assert found["value"].values.tolist() == [*range(15), 254, 255]
    assert found["ulx"].values.tolist() == [ULX, ULX + 240, ULX + 4_800] and set(found["uly"].values.tolist()) == {ULY}
    assert set(found["epsg"].values.tolist()) == {EPSG}
    assert np.isnan(found["coverage"].values).all()  # the source says nothing about its extent
    for channel in range(3):
        for at, value in enumerate(found["value"].values):
            counted = (found["labels"].values[:, channel] == value).sum(axis=(1, 2))
            assert found["class_count"].values[:, channel, at].tolist() == counted.tolist()
    assert found["class_count"].dtype == np.int32
    assert (found["labels"].values[2] == 255).all()
    # hand-read pixels of the first cell
    first = found["labels"].values[0]
    assert first[0, 10, 3] == 0 and first[2, 10, 3] == 254 and first[2, 1, 22] == 14 and first[2, 0, 22] == 255
    assert first[1, 20, 22] == 12 and first[0, 20, 22] == 254
    assert first[0, 8, 15] == 2 and first[2, 8, 15] == 14
    assert (
        found.attrs["snapshot"] == "2020-01-01T00:00:00Z"
        and found.attrs["licence"] == "© OpenStreetMap contributors, ODbL 1.0"
    )
    assert Ontology.model_validate(found.attrs["ontology"]).categories[12].colour == "#3182bd"


def test_cell_alone_is_cell_among_others_in_any_order(tmp_path, settings):
    corners = [(ULX - 240, ULY), (ULX, ULY), (ULX + 240, ULY), (ULX, ULY - 240)]
    among, alone = tmp_path / "among.zip", tmp_path / "alone.zip"
    make_labels(write_cells(tmp_path / "c", corners), write_features(tmp_path / "f", ROWS), settings, among)
    make_labels(
        write_cells(tmp_path / "c1", corners[1:2]), write_features(tmp_path / "f1", ROWS[::-1]), settings, alone
    )
    np.testing.assert_array_equal(labels_of(alone)["labels"].values[0], labels_of(among)["labels"].values[1])
    assert len(np.unique(labels_of(alone)["labels"].values)) > 3


def test_same_bytes(tmp_path, settings):
    cells, features = write_cells(tmp_path / "c", [(ULX, ULY)]), write_features(tmp_path / "f", ROWS)
    for name in ("one", "two"):
        make_labels(cells, features, settings, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_two_sets_of_two_resolutions(tmp_path, settings):
    both = LabelsSettings(sets={**settings.sets, **of(settings.sets["osm"].ontology, "fine", resolution_m=2.5).sets})
    features = write_features(tmp_path / "f", ROWS, sets=("fine", "osm"))
    make_labels(write_cells(tmp_path / "c", [(ULX, ULY)]), features, both, tmp_path / "out")
    assert labels_of(tmp_path / "out", "osm")["labels"].shape == (1, 3, 24, 24)
    fine = labels_of(tmp_path / "out", "fine")["labels"]
    # centres at 1.25, 3.75 … up to 104 and 207 m
    assert fine.shape == (1, 3, 96, 96) and (fine.values[0, 0] == 0).sum() == 42 * 83


def test_ground_outside_the_extent(tmp_path, settings):
    # The extract ends somewhere inside the first cell; the wood goes on beyond it.
    (west, north) = TO_LONLAT.transform(ULX - 900, ULY + 900)
    (east, south) = TO_LONLAT.transform(ULX + 77, ULY - 900)
    cells = write_cells(tmp_path / "c", [(ULX, ULY), (ULX + 240, ULY), (ULX - 240, ULY)])
    everywhere = [("area", '{"natural":"wood"}', shapely.box(ULX - 900, ULY - 900, ULX + 900, ULY + 900))]
    features = write_features(tmp_path / "f", everywhere, [west, south, east, north])
    make_labels(cells, features, settings, tmp_path / "out")
    found = labels_of(tmp_path / "out")
    inside = found["labels"].values[:, 0] == 0
    assert found["coverage"].values.tolist() == inside.mean(axis=(1, 2)).tolist()
    assert inside[2].all() and not inside[1].any()
    assert 0.2 < inside[0].mean() < 0.4
    assert set(np.unique(found["labels"].values[0][:, ~inside[0]])) == {255}


def test_tile_without_cells(tmp_path, settings):
    make_labels(write_cells(tmp_path / "c", [], 1920), write_features(tmp_path / "f", []), settings, tmp_path / "out")
    found = labels_of(tmp_path / "out")
    assert found["labels"].shape == (0, 3, 192, 192) and found["class_count"].shape == (0, 3, 17)


def test_cells_without_features_are_unlabeled(tmp_path, settings):
    make_labels(
        write_cells(tmp_path / "c", [(ULX, ULY)]), write_features(tmp_path / "f", []), settings, tmp_path / "out"
    )
    assert (labels_of(tmp_path / "out")["labels"].values == 255).all()


def test_dilation_beyond_the_margin(tmp_path, settings):
    assert MARGIN_M >= MAX_DILATE_M
    document = yaml.safe_load(Path(settings.sets["osm"].ontology).read_text())
    document["categories"][2]["rules"][1]["dilate_m"] = MAX_DILATE_M + 10
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(document))
    wide = of(tmp_path / "wide.yaml")
    with pytest.raises(TilewrightError, match=r"wide\.yaml: category residential, rule 2, dilate_m: .* 500"):
        make_labels(
            write_cells(tmp_path / "c", [(ULX, ULY)]), write_features(tmp_path / "f", ROWS), wide, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_features_of_another_set(tmp_path, settings):
    features = write_features(tmp_path / "f", ROWS, sets=("other",))
    with pytest.raises(
        TilewrightError, match=r"labels\.osm: .* has no features of this set: run the rule features again"
    ):
        make_labels(write_cells(tmp_path / "c", [(ULX, ULY)]), features, settings, tmp_path / "out")


def test_missing_files(tmp_path, settings):
    with pytest.raises(TilewrightError, match="is missing"):
        make_labels(tmp_path / "c", tmp_path / "f", settings, tmp_path / "out")
    with pytest.raises(TilewrightError, match="f is missing"):
        make_labels(write_cells(tmp_path / "c", [(ULX, ULY)]), tmp_path / "f", settings, tmp_path / "out")


def test_settings_import_lightly():
    heavy = "{'geopandas', 'numpy', 'osmium', 'rasterio', 'xarray'}"
    code = f"import sys, tilewright.config.label_settings; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_vaduz(shared_data, settings, tmp_path):
    """The real extract, end to end: the Rhine, its valley's roads, the wooded slope, and Switzerland beyond the extract."""
    x, y = TO_LONLAT.transform(9.52, 47.14, direction="INVERSE")
    ulx, uly = int(x // 1920 * 1920), int(-(-y // 1920) * 1920)
    cells = write_cells(tmp_path / "c", [(ulx, uly), (ulx - 5 * 1920, uly)], 1920)
    source = OsmFile(kind="pbf", path=str(shared_data / "osm" / "liechtenstein-2013-08-03.osm.pbf"))
    make_source(SourceSettings(source=source), tmp_path / "osm.parquet")
    make_features(cells, {"osm": tmp_path / "osm.parquet"}, FeaturesSettings(sources={"osm": "osm"}), tmp_path / "f")
    make_labels(cells, tmp_path / "f", settings, tmp_path / "out")
    found = labels_of(tmp_path / "out")
    share = found["class_count"].values[0] / 192**2
    values = found["value"].values.tolist()
    assert found["coverage"].values.tolist() == [1.0, 0.0]
    assert 0.05 < share[1, values.index(12)] < 0.12  # 150 m of Rhine along 2 km
    assert 0.05 < share[1, values.index(13)] < 0.25
    assert share[2, values.index(14)] > 0.001 and share[0, values.index(0)] > 0.005
    assert share[0, values.index(254)] > 0.04  # under the Rhine
    assert (found["labels"].values[1] == 255).all()


CROPS = """
name: crops
version: 1
channels: [{name: crop}]
categories:
  - {name: wheat, channel: crop, value: 1, precedence: 1, colour: "#e6d96b", burn: coverage, rules: [{attributes: {crop: wheat}}]}
  - {name: maize, channel: crop, value: 2, precedence: 2, colour: "#1b7837", burn: coverage, rules: [{attributes: {crop: maize}}]}
"""


def parcels(path: Path, rows: list[tuple[str, shapely.Geometry]]) -> Path:
    """Parcels (crop, UTM outline), numbered from 1, each with a yield of ten times its number."""
    return write_features(
        path,
        [("area", f'{{"crop":"{crop}","yield":"{10 * at}.5"}}', outline) for at, (crop, outline) in enumerate(rows, 1)],
        sets=("crops",),
    )


FIELDS = [
    ("wheat", shapely.box(ULX, ULY - 100, ULX + 103, ULY)),
    ("maize", shapely.box(ULX + 97, ULY - 100, ULX + 200, ULY)),
    ("maize", shapely.box(ULX + 20, ULY - 190, ULX + 60, ULY - 120)),
]


def test_parcels(tmp_path):
    (tmp_path / "crops.yaml").write_text(CROPS)
    told = of(
        tmp_path / "crops.yaml", "crops", kind="vector", parcels=Parcels(), values=["yield"], year=2019,
        regions=Regions(ignore_below={"easy": 50, "hard": 0}),
    )  # fmt: skip
    make_labels(write_cells(tmp_path / "c", [(ULX, ULY)]), parcels(tmp_path / "f", FIELDS), told, tmp_path / "out")
    found = labels_of(tmp_path / "out", "crops").isel(cell=0)
    labels, instance = found["labels"].values[0], found["instance"].values
    # column 9 is covered by 10 m of wheat, then 3 m of the next; column 10 by 3 m of wheat and 10 m of maize
    assert labels[5, [0, 9, 10, 19]].tolist() == [1, 1, 2, 2] and labels[5, 20] == 255
    assert instance[5, [0, 9, 10, 19, 20]].tolist() == [1, 1, 2, 2, 0] and instance[15, 3] == 3
    assert found["claims"].values[5, 8:12].tolist() == [0, 1, 1, 0]
    assert not found["claims_same"].values.any()
    assert found["distance"].values[5, 0] == 5 and np.isnan(found["distance"].values[5, 20])
    assert found["parcel_coverage"].values[5, [0, 20]].tolist() == [1, 0]
    assert found["targets"].values[0, 5, [0, 19]].tolist() == [10.5, 20.5] and np.isnan(
        found["targets"].values[0, 5, 20]
    )
    assert found["target"].values.tolist() == ["yield"] and found["level"].values.tolist() == ["easy", "hard"]
    small = found["ignore"].values[:, 0]
    assert small[:, 15, 3].tolist() == [1, 0] and small[:, 5, 0].tolist() == [0, 0]  # 28 pixels of maize, 100 of wheat
    assert found["claimed"].values.tolist() == [20 / 576, 0]
    assert (found.attrs["year"], found.attrs["family"], found.attrs["kind"]) == (2019, "crops", "vector")


def test_a_parcel_of_another_class_changes_its_own_pixels_only(tmp_path):
    (tmp_path / "crops.yaml").write_text(CROPS)
    told = of(tmp_path / "crops.yaml", "crops", kind="vector", parcels=Parcels())
    cells = write_cells(tmp_path / "c", [(ULX, ULY)])
    make_labels(cells, parcels(tmp_path / "f", FIELDS), told, tmp_path / "one")
    other = [*FIELDS[:2], ("wheat", FIELDS[2][1])]
    make_labels(cells, parcels(tmp_path / "g", other), told, tmp_path / "two")
    one, two = (labels_of(tmp_path / name, "crops").isel(cell=0) for name in ("one", "two"))
    changed = (one["labels"] != two["labels"]).values[0]
    np.testing.assert_array_equal(changed, one["instance"].values == 3)
    for name in ("instance", "distance", "parcel_coverage", "claims", "claims_same"):
        np.testing.assert_array_equal(one[name], two[name])


def test_classes_that_no_rule_knows(tmp_path):
    (tmp_path / "crops.yaml").write_text(CROPS)
    rows = [*FIELDS, ("hops", shapely.box(ULX + 100, ULY - 200, ULX + 150, ULY - 150)), ("hops", FIELDS[2][1])]
    cells, features = write_cells(tmp_path / "c", [(ULX, ULY)]), parcels(tmp_path / "f", rows)
    strict = of(tmp_path / "crops.yaml", "crops", kind="vector")
    with pytest.raises(
        TilewrightError, match=r"labels\.crops: .*crops\.yaml has no rule for crop=hops \(2\) .*unknown: unlabeled"
    ):
        make_labels(cells, features, strict, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    make_labels(
        cells, features, of(tmp_path / "crops.yaml", "crops", kind="vector", unknown="unlabeled"), tmp_path / "out"
    )
    found = labels_of(tmp_path / "out", "crops")
    assert found.attrs["unknown"] == {"crop=hops": 2}
    assert (found["labels"].values[0, 0, 15:20, 10:15] == 255).all()


def raster(path: Path, values: np.ndarray, step: float, nodata: float | None = None) -> RasterFile:
    """A raster whose upper-left corner is that of the first cell."""
    import rasterio

    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "crs": EPSG, "nodata": nodata}
    transform = rasterio.transform.from_origin(ULX, ULY, step, step)
    with rasterio.open(
        path, "w", width=values.shape[1], height=values.shape[0], transform=transform, **profile
    ) as file:
        file.write(values, 1)
    return RasterFile(kind="raster", path=str(path), licence="CC0")


COVER = """
name: cover
version: 1
channels: [{name: cover}]
categories:
  - {name: trees, channel: cover, value: 3, precedence: 1, colour: "#1b7837", rules: [{pixels: [10]}]}
  - {name: town, channel: cover, value: 4, precedence: 2, colour: "#a50f15", rules: [{pixels: [50, 60]}]}
"""


def test_rasters(tmp_path):
    (tmp_path / "cover.yaml").write_text(COVER)
    classes = np.full((24, 24), 10, np.uint8)
    classes[:, 12:] = 60
    classes[20:] = 0
    cover = raster(tmp_path / "cover.tif", classes, 10, nodata=0)
    heights = raster(tmp_path / "dem.tif", np.arange(576, dtype=np.float32).reshape(24, 24), 10)
    told = LabelsSettings(
        sets={
            **of(tmp_path / "cover.yaml", "cover", kind="raster", raster=cover, year=2021).sets,
            **of(None, "dem", kind="raster", raster=heights).sets,
        }
    )
    features = tmp_path / "f"
    write_table(gpd.GeoDataFrame({"label_set": []}, geometry=[], crs=4326), features, {"label_sets": {}})
    make_labels(write_cells(tmp_path / "c", [(ULX, ULY), (ULX + 120, ULY)]), features, told, tmp_path / "out")
    found = labels_of(tmp_path / "out", "cover")
    assert np.unique(found["labels"].values[0, 0, :20, :12]).tolist() == [3]
    assert np.unique(found["labels"].values[0, 0, :20, 12:]).tolist() == [4]
    assert np.unique(found["labels"].values[0, 0, 20:]).tolist() == [255]
    assert found["coverage"].values.tolist() == [20 / 24, 10 / 24]
    dem = labels_of(tmp_path / "out", "dem")
    np.testing.assert_array_equal(dem["layer"].values[0], np.arange(576).reshape(24, 24))
    assert np.isnan(dem["layer"].values[1, :, 12:]).all() and dem["coverage"].values.tolist() == [1, 0.5]
    assert (dem["mean"].values[0], dem["min"].values[0], dem["max"].values[0]) == (287.5, 0, 575)
    assert dem.attrs["ontology"] is None


def test_a_source_that_covers_nothing_here_is_named(tmp_path, settings, caplog):
    features = write_features(tmp_path / "f", ROWS, [20.0, 10.0, 21.0, 11.0])
    make_labels(write_cells(tmp_path / "c", [(ULX, ULY)]), features, settings, tmp_path / "out")
    assert "labels.osm: the source covers none of the tile's cells" in caplog.text
    assert labels_of(tmp_path / "out")["coverage"].values.tolist() == [0]


def test_raster_values_that_no_rule_knows(tmp_path):
    (tmp_path / "cover.yaml").write_text(COVER)
    values = np.full((24, 24), 10, np.uint8)
    values[0, :3] = 77
    source = raster(tmp_path / "cover.tif", values, 10)
    features = write_features(tmp_path / "f", [])
    cells = write_cells(tmp_path / "c", [(ULX, ULY)])
    with pytest.raises(TilewrightError, match=r"77 .*3"):
        make_labels(
            cells, features, of(tmp_path / "cover.yaml", "cover", kind="raster", raster=source), tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
    told = of(tmp_path / "cover.yaml", "cover", kind="raster", raster=source, unknown="unlabeled")
    make_labels(cells, features, told, tmp_path / "out")
    found = labels_of(tmp_path / "out", "cover")
    assert found.attrs["unknown"] == {"value=77": 3} and (found["labels"].values[0, 0, 0, :3] == 255).all()
