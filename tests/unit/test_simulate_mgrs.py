"""The simulator's own tile arithmetic against the table of all real tiles."""

import csv
from pathlib import Path

import pytest

from tilewright.errors import TilewrightError
from tilewright.simulate.mgrs import frame


def test_origins_of_all_tiles(shared_data: Path) -> None:
    with (shared_data / "grid" / "s2_tiles.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    wrong = []
    for row in rows:
        place = frame(row["tile"])
        if (place.epsg, place.ulx, place.uly) != (int(row["epsg"]), int(row["ulx"]), int(row["uly"])):
            wrong.append(row["tile"])
    assert len(rows) == 56_686
    assert wrong == []


@pytest.mark.parametrize(
    ("tile", "epsg", "ulx", "uly"),
    [
        ("32TQM", 32632, 699960, 4700040), ("33TTG", 32633, 199980, 4700040), ("35JQG", 32735, 699960, 6700000),
        ("36JTM", 32736, 199980, 6700000), ("01CCV", 32701, 300000, 2000020), ("31NAA", 32631, 99960, 100020),
    ],
)  # fmt: skip
def test_known_tiles(tile: str, epsg: int, ulx: int, uly: int) -> None:
    place = frame(tile)
    assert (place.epsg, place.ulx, place.uly) == (epsg, ulx, uly)


@pytest.mark.parametrize("name", ["1CDH", "33TSG0", "61TTG", "33TJG", "33ITG", "33TTW", ""])
def test_names_that_are_no_squares(name: str) -> None:
    with pytest.raises(TilewrightError, match="not the name of an MGRS square"):
        frame(name)
