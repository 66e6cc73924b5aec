"""What the floor and the checks of burning share: the shapes that the ontology burns, projected, and where they are burned to."""

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import geopandas as gpd
import numpy as np
from affine import Affine

from tilewright.vector.ontology import Ontology
from tilewright.vector.ontology_file import load_ontology


@dataclass(frozen=True)
class BurnJob:
    """One tile's features, as the stage `labels` gets them."""

    features: Path
    ontology: Ontology
    epsg: int
    ulx: int
    uly: int
    side: int  # pixels
    step: float

    @property
    def place(self) -> Affine:
        return Affine(self.step, 0, self.ulx, 0, -self.step, self.uly)

    @cached_property
    def table(self) -> gpd.GeoDataFrame:
        """The features that some category's rule fits: kind, rules (numbers), geometry in UTM."""
        from tilewright.vector.ontology import Matcher
        from tilewright.vector.project import project

        table = gpd.read_parquet(self.features, columns=["kind", "tags", "geometry"])
        matcher = Matcher(self.ontology)
        rules = [
            tuple(number for number in matcher.of(tags, kind) if number < len(matcher.rules))
            for tags, kind in zip(table["tags"], table["kind"], strict=True)
        ]
        used = np.flatnonzero([bool(numbers) for numbers in rules])
        geometry = project(table.geometry.to_numpy()[used], self.epsg)
        kinds = table["kind"].to_numpy(dtype=object)[used]
        found = gpd.GeoDataFrame({"kind": kinds}, geometry=geometry)
        found["category"] = [[matcher.rules[number][0] for number in rules[at]] for at in used.tolist()]
        return found


def job() -> BurnJob:
    """The job named on the command line."""
    told = json.loads(Path(sys.argv[1]).read_text())
    return BurnJob(
        Path(told["features"]),
        load_ontology(Path(told["ontology"])),
        told["epsg"],
        told["ulx"],
        told["uly"],
        told["side"],
        told["step"],
    )
