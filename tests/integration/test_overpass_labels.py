"""Labels by Overpass through the real workflow: those of an extract of the same map, and asked for once."""

from pathlib import Path

import numpy as np
from overpass_server import OverpassServer, elements_of

from conftest import SOUTH_BOX, config_of
from harness import Project, write_aoi
from tilewright.store.zarrzip import StoreReader

TILE = "35JQG"


def test_labels_are_those_of_an_extract_and_answers_are_kept(world: Path, tmp_path: Path):
    config = config_of(world, write_aoi(tmp_path / "aoi.geojson", SOUTH_BOX))
    target = f"results/small/tiles/{TILE}/labels.zarr.zip"
    with OverpassServer(elements_of(world / "world.osm.pbf")) as server:
        asked = {"source": {"kind": "overpass", "url": server.url}, "ontology": "opensentinelmap"}
        config["labels"] = {"osm": config["labels"]["osm"], "api": asked}
        project = Project(tmp_path / "work", config, warm=True)
        assert project.run(target).jobs == {"cells": 1, "source": 1, "ask": 1, "features": 1, "labels": 1}
        queries = len(server.queries)
        project.edited(labels={**config["labels"], "fine": {**asked, "resolution_m": 5}})
        assert project.run(target).jobs == {"features": 1, "labels": 1}
        assert queries > 0 and len(server.queries) == queries
    with StoreReader(project.results / "tiles" / TILE / "labels.zarr.zip") as store:
        tree = store.tree()
        extract, api = (tree[name].to_dataset().load() for name in ("osm", "api"))
    np.testing.assert_array_equal(api["labels"], extract["labels"])
    assert (api["labels"] < 254).any() and (api["coverage"] == 1).all()
    assert tree["fine"]["labels"].shape[-1] == 2 * api["labels"].shape[-1]
