"""Labels of every kind of source in one dataset, by the real workflow: what runs, what is in it, and what an edit costs."""

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import yaml

import tilewright
from conftest import SOUTH_BOX, config_of
from harness import Project, write_aoi

CROPS: dict[str, Any] = {
    "name": "crops", "version": 1, "channels": [{"name": "crop"}],
    "categories": [
        {"name": name, "channel": "crop", "value": value, "precedence": value, "colour": colour, "burn": "coverage",
         "rules": [{"attributes": {"crop": name}}]}
        for value, (name, colour) in enumerate([("wheat", "#e6d96b"), ("maize", "#1b7837")], 1)
    ],
}  # fmt: skip


def fields(seed: int) -> gpd.GeoDataFrame:
    """Rectangles all over the southern site, a hectare or so each, some of them overlapping, in UTM."""
    draw = np.random.default_rng(seed)
    west, south, east, north = gpd.GeoSeries([shapely.box(*SOUTH_BOX)], crs=4326).to_crs(32735).total_bounds
    left, bottom = draw.uniform(west, east, 400), draw.uniform(south, north, 400)
    outlines = shapely.box(left, bottom, left + draw.uniform(50, 300, 400), bottom + draw.uniform(50, 300, 400))
    return gpd.GeoDataFrame(
        {"crop": np.where(draw.random(400) < 0.5, "wheat", "maize"), "number": np.arange(1, 401), "yield": draw.uniform(1, 9, 400)},
        geometry=outlines, crs=32735,
    )  # fmt: skip


def write_raster(path: Path, values: np.ndarray) -> str:
    west, south, east, north = SOUTH_BOX
    place = rasterio.transform.from_bounds(
        west - 0.1, south - 0.1, east + 0.1, north + 0.1, values.shape[1], values.shape[0]
    )
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "crs": 4326, "transform": place}
    with rasterio.open(path, "w", width=values.shape[1], height=values.shape[0], **profile) as file:
        file.write(values, 1)
    return str(path)


@pytest.fixture(scope="module")
def done(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("sets")
    (folder / "crops.yaml").write_text(yaml.safe_dump(CROPS))
    for year, crs in ((2018, 3035), (2019, 4326)):
        clc = fields(year).to_crs(crs).rename(columns={"crop": "CLC18"})
        clc["CLC18"] = np.where(clc["CLC18"] == "wheat", 211, 311)
        clc.to_file(folder / f"clc-{year}.gpkg")
    fields(5).to_file(folder / "crops.fgb")
    rows, columns = np.mgrid[0:300, 0:300]
    cover = write_raster(folder / "cover.tif", np.where((rows // 30 + columns // 20) % 2, 10, 40).astype("uint8"))
    heights = write_raster(folder / "dem.tif", (rows + 2 * columns).astype("float32"))
    config = config_of(world, write_aoi(folder / "aoi.geojson", SOUTH_BOX))
    config["periods"] = [{"name": "year", "start": "2019-01-01", "end": "2019-12-31", "scenes": 1}]
    extract = {"kind": "pbf", "path": str(world / "world.osm.pbf")}
    crops = {
        "kind": "vector", "path": str(folder / "crops.fgb"), "attributes": ["crop"], "id": "number", "values": ["yield"], "licence": "CC0",
    }  # fmt: skip
    config["labels"] = {
        "osm": {"source": extract, "ontology": "opensentinelmap"},
        "fine": {"source": extract, "ontology": "opensentinelmap", "resolution_m": 2.5},
        "clc": {
            "source": {"kind": "vector", "attributes": ["CLC18"], "licence": "dl-de/by-2-0"}, "ontology": "seasonet-clc",
            "years": {year: str(folder / f"clc-{year}.gpkg") for year in (2018, 2019)}, "regions": {},
        },
        "crops": {"source": crops, "ontology": str(folder / "crops.yaml"), "year": 2019, "parcels": {}},
        "cover": {
            "source": {"kind": "raster", "path": cover, "resampling": "majority", "licence": "CC-BY 4.0"}, "ontology": "worldcover",
        },
        "dem": {"source": {"kind": "raster", "path": heights, "resampling": "bilinear", "licence": "CC0"}},
    }  # fmt: skip
    project = Project(folder / "work", config, warm=True)
    project.first = project.run().jobs
    return project


def test_each_source_is_read_once(done: Project):
    # two OpenStreetMap sets share an extract; rasters are read by labels
    assert done.first["source"] == 4 and done.first["features"] == done.first["labels"] == 1


def test_every_set_is_in_the_dataset(done: Project):
    dataset = tilewright.open(done.results)
    assert set(dataset.label_sets) == {"osm", "fine", "clc-2018", "clc-2019", "crops", "cover", "dem"}
    index = dataset.index
    assert (index["clc-2018_year"] == 2018).all() and index["osm_year"].isna().all()
    assert index["crops_claimed_partly"].max() > 0 and (index["dem_mean"] > 0).all()
    assert set(np.concatenate(index["cover_classes"].to_list()).tolist()) == {10, 40}
    cell = dataset[index.index[0]]
    shape = cell["labels/osm/labels"].shape
    assert cell["labels/fine/labels"].shape == (shape[0], 4 * shape[1], 4 * shape[2])
    assert cell["labels/clc-2018/ignore"].shape == (3, 1, *shape[1:])
    assert cell["labels/crops/instance"].shape == shape[1:] == cell["labels/dem/layer"].shape


def test_the_fine_labels_are_those_of_the_coarse_ones_where_nothing_is_near(done: Project):
    """At a pixel whose 16 fine pixels agree, areas burned by centre agree with it as well, but for what lines and edges move."""
    dataset = tilewright.open(done.results)
    same = []
    for name in dataset.index.index[:4]:
        cell = dataset[name]
        coarse, fine = cell["labels/osm/labels"].values[0], cell["labels/fine/labels"].values[0]
        blocks = fine.reshape(coarse.shape[0], 4, coarse.shape[1], 4)
        whole = (blocks == blocks[:, :1, :, :1]).all(axis=(1, 3))
        same.append((blocks[:, 0, :, 0] == coarse)[whole].mean())
    assert np.mean(same) > 0.97


def test_parcels_are_those_of_the_file(done: Project):
    """Each pixel's instance is the parcel that covers most of it, by shapely, and its yield that parcel's."""
    dataset, table = tilewright.open(done.results), fields(5)
    row = dataset.index.iloc[np.argmax(dataset.index["crops_claimed_partly"])]
    cell = dataset[row.name]["labels/crops"]
    tree = shapely.STRtree(table.geometry.to_numpy())
    instance, targets = cell["instance"].values, cell["targets"].values[0]
    for y in range(0, instance.shape[0], 7):
        for x in range(0, instance.shape[1], 7):
            left, top = row["ulx"] + 10 * x, row["uly"] - 10 * y
            pixel = shapely.box(left, top - 10, left + 10, top)
            shares = {
                int(table["number"].iloc[at]): shapely.intersection(pixel, table.geometry.iloc[at]).area
                for at in tree.query(pixel)
            }
            best = max(shares.values(), default=0)
            if best > 1e-4:
                assert shares[int(instance[y, x])] > best - 1e-4
                assert targets[y, x] == np.float32(table["yield"].iloc[instance[y, x] - 1])
            else:
                assert instance[y, x] == 0 or best > 0


def test_the_samples_join_each_date_with_the_labels_of_its_year(done: Project):
    torch = pytest.importorskip("torch", reason="PyTorch is an extra")
    from tilewright.torch import SeriesDataset

    samples = SeriesDataset(done.results, labels=["clc", "crops", "dem"], resolution_m=10)
    sample = samples[0]
    assert sample["labels"]["clc"].shape[0] == len(sample["time"])
    here = tilewright.open(done.results)[sample["cell"]["cell_id"]]["labels"]
    np.testing.assert_array_equal(sample["labels"]["clc"][0], here["clc-2019/labels"].values)
    assert sample["labels"]["dem"].dtype == torch.float32


def test_edits_cost_labels_only(done: Project):
    imagery = {name: digest for name, digest in done.digests("tiles").items() if "series" in name}
    ontology = Path(done.config["labels"]["crops"]["ontology"])
    ontology.write_text(ontology.read_text().replace("#e6d96b", "#e6d96c"))
    assert done.run().jobs == {"labels": 1, "zone": 1, "index": 1, "report": 1}

    dataset = tilewright.open(done.results)
    before = {name: dataset[name]["labels/crops"].to_dataset().load() for name in dataset.index.index}
    path = Path(done.config["labels"]["crops"]["source"]["path"])
    table = fields(5)
    shown, counts = np.unique(
        np.concatenate([one["instance"].values.ravel() for one in before.values()]), return_counts=True
    )
    moved = int(shown[1:][np.argmax(counts[1:])])  # the parcel with the most pixels
    table.loc[table["number"] == moved, "crop"] = "maize" if table["crop"].iloc[moved - 1] == "wheat" else "wheat"
    table.to_file(path)
    assert done.run().jobs == {"source": 1, "features": 1, "labels": 1, "zone": 1, "index": 1, "report": 1}
    again = tilewright.open(done.results)
    changed = 0
    for name, one in before.items():
        two = again[name]["labels/crops"].to_dataset().load()
        differs = (one["labels"] != two["labels"]).values[0]
        np.testing.assert_array_equal(differs, one["instance"].values == moved)
        np.testing.assert_array_equal(one["instance"], two["instance"])
        changed += int(differs.sum())
    assert changed > 0
    assert {name: digest for name, digest in done.digests("tiles").items() if "series" in name} == imagery


def test_cells_only_where_there_is_ground_truth(done: Project, tmp_path: Path):
    few = fields(5).iloc[:3]
    few.to_file(tmp_path / "few.gpkg")
    source = {**done.config["labels"]["crops"]["source"], "path": str(tmp_path / "few.gpkg")}
    config = {**done.config, "labels": {"crops": {**done.config["labels"]["crops"], "source": source}}}
    config["cells"] = {**config["cells"], "labelled_by": "crops"}
    project = Project(tmp_path / "work", config, warm=True)
    project.run("results/small/tiles/35JQG/cells.parquet")
    cells = gpd.read_parquet(project.results / "tiles/35JQG/cells.parquet")
    everywhere = gpd.read_parquet(done.results / "tiles/35JQG/cells.parquet")
    outlines = shapely.box(
        everywhere["ulx"], everywhere["uly"] - everywhere["size_m"], everywhere["ulx"] + everywhere["size_m"], everywhere["uly"]
    )  # fmt: skip
    met = [shapely.intersects(few.geometry.to_numpy(), each).any() for each in outlines]
    assert cells["cell_id"].tolist() == everywhere["cell_id"][met].tolist() and 0 < sum(met) < len(met)


def test_the_legend_page_is_made_on_demand(done: Project):
    done.run("results/small/legends/osm.html", "results/small/legends/crops.html")
    assert "wheat" in (done.results / "legends/crops.html").read_text()
    assert (done.results / "legends/osm.csv").stat().st_size > 100
