"""Every trap of OpenStreetMap's geometry, through both formats of files, alone and together."""

import json
from collections import Counter
from pathlib import Path

import pytest

from osm_cases import SNAPSHOT, Case, Truth, cases, same, write_osm
from tilewright.vector.features import SourceFacts
from tilewright.vector.osm import OsmObjects

FORMATS = {"pbf": "made.osm.pbf", "osm_xml": "made.osm"}


def read(path: Path, file_format: str) -> tuple[list[Truth], SourceFacts]:
    objects = OsmObjects(path, file_format)
    found = [
        Truth(*values[:3], json.loads(values[3]), values[4])
        for batch in objects.batches()
        for values in zip(
            batch.source_type, batch.source_id.tolist(), batch.kind, batch.tags, batch.geometry, strict=True
        )
    ]
    return sorted(found, key=lambda each: (each.source_type, each.source_id)), objects.facts()


def compare(found: list[Truth], truth: list[Truth]) -> None:
    def named(features: list[Truth]) -> list[tuple]:
        return [(each.source_type, each.source_id, each.kind, each.tags) for each in features]

    truth = sorted(truth, key=lambda each: (each.source_type, each.source_id))
    assert named(found) == named(truth)
    for one, other in zip(found, truth, strict=True):
        assert one.geometry.is_valid
        assert same(one.geometry, other.geometry), (one.geometry.wkt, other.geometry.wkt)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("case", cases().values(), ids=lambda case: case.name)
def test_case(case: Case, file_format, tmp_path):
    found, facts = read(write_osm(case.elements, tmp_path / FORMATS[file_format]), file_format)
    compare(found, case.truth)
    assert facts.rejects == case.rejects
    assert facts.repaired == case.repaired
    assert facts.counts == {kind: sum(each.kind == kind for each in case.truth) for kind in ("area", "line", "point")}


@pytest.mark.parametrize("file_format", FORMATS)
def test_all_together(file_format, tmp_path):
    every = list(cases().values())
    elements = [element for case in every for element in case.elements]
    found, facts = read(write_osm(elements, tmp_path / FORMATS[file_format]), file_format)
    compare(found, [truth for case in every for truth in case.truth])
    assert facts.rejects == sum((case.rejects for case in every), Counter())
    assert facts.repaired == 1
    if file_format == "pbf":  # the header of XML files has no place for it
        assert facts.snapshot == SNAPSHOT


def test_there_are_enough_cases():
    assert len(cases()) >= 27
