"""The report: one page that stands alone, is the same twice, escapes what it is told, and shows the dataset's figures."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.image import imread

from reporting import HOSTILE, Page, build, everything, page_of, pixels_of, shipped
from tilewright.errors import TilewrightError
from tilewright.report import make_report
from tilewright.report.cellmap import cell_map, label_map, turned
from tilewright.report.drawing import CLAIM_COLOURS, percent, rgb
from tilewright.report.facts import Facts, read_facts
from tilewright.report.labelplots import shortened
from tilewright.report.samples import CELLS, chosen, make_samples


@pytest.fixture(scope="module")
def small(tmp_path_factory, root) -> Path:
    return build(tmp_path_factory.mktemp("small"), root)


@pytest.fixture(scope="module")
def text(small) -> str:
    return page_of(small)


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def odd(tmp_path_factory, root) -> Path:
    """One band that is no colour, no labels, one period, imagery for every cell, and words that mean harm."""
    return build(
        tmp_path_factory.mktemp("odd"), root, blank=0, bands=["B05"], labels=None, periods=1, attribution=HOSTILE
    )


@pytest.fixture(scope="module")
def odd_text(odd) -> str:
    return page_of(odd, config=f"# {HOSTILE}\ndataset: '</pre>$x$'\n")


@pytest.fixture(scope="module")
def rich(tmp_path_factory, root) -> Path:
    """Label sets of every kind."""
    return build(tmp_path_factory.mktemp("rich"), root, labels=everything)


@pytest.fixture(scope="module")
def rich_page(rich) -> Page:
    text = page_of(rich)
    assert page_of(rich, name="second.html") == text
    return Page(text)


def shades(svg: str, wanted: str) -> int:
    """How many shapes of an SVG are filled with a colour."""
    return len(re.findall(rf"fill: ?{wanted}\b", svg))


def test_same_bytes_twice(small, text):
    assert page_of(small, name="second.html") == text
    assert page_of(small, config="dataset: other\n", name="second.html") != text


@pytest.mark.parametrize("of", ["page", "rich_page"])
def test_loads_nothing(of, request):
    page = request.getfixturevalue(of)
    for tag, attrs in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, name)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids)), "an id of one figure would be taken by another"
    aims = [
        attrs[name][1:]
        for _, attrs in page.elements
        for name in ("href", "xlink:href")
        if attrs.get(name, "").startswith("#")
    ]
    assert set(aims) <= set(ids)


def test_style_loads_nothing(text):
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_shows_the_figures_of_statistics(small, page):
    known = json.loads((small / "statistics.json").read_text())
    assert known["cells"]["total"] == 14
    for words in (
        f"{known['cells']['total']} cells",
        "13 with imagery",
        f"{known['patches']} patches",
        "1 tile",
        "2 periods",
    ):
        assert words in page.text
    for band in known["bands_train"].values():
        assert f" {band['mean']:,.0f} " in page.text
    for one in known["labels"]["osm"]["classes"].values():
        assert percent(one["cells"]) in page.text
        assert percent(one["pixels"]) in page.text
    for name, count in known["cells"]["by_split"].items():
        assert f"{name} ({count})" in page.text
    for name, count in known["cells"]["sampling"].items():
        assert f"{name} {count:,} " in page.text
    for name, period in known["periods"].items():
        assert f"{name} {period['scenes']} {period['scenes_used']} {period['patches']} broken: 14" in page.text
    outside = known["labels"]["osm"]["cells_outside_extent"]
    assert 0 < outside < 14
    assert f"({outside} not wholly inside are left out)" in page.text
    assert known["split"]["reason"] in page.text


def test_provenance(page):
    for words in (
        "Provider here",
        "Attribution Us",
        "a.osm.pbf",
        "2020-01-01T00:00:00Z",
        "ODbL",
        "openstreetmap.org/copyright",
        "dataset: small",
    ):
        assert words in page.text
    assert f"numpy {np.__version__}" in page.text
    assert f"xarray {xr.__version__}" in page.text


def test_escapes_what_it_is_told(odd_text):
    page = Page(odd_text)
    assert "<script" not in odd_text
    assert not [attrs for _, attrs in page.elements if "onerror" in attrs]
    assert page.text.count(HOSTILE) == 3, "attribution, radiometry, config: shown as they are, as text"
    assert "'</pre>$x$'" in page.text
    assert "early: 32TNT: S2_gone: broken: 404 <b>" in page.text


def test_pictures(small, page):
    """Colours are the ontology's, unlabeled is a hole for the hatching, and brighter pixels are lighter."""
    facts = read_facts(small)
    samples = make_samples(facts)
    assert sum(bool(frame.image) for row in samples.rows for frame in row.frames) == len(page.images())
    by_id = {row.cell_id: row for row in samples.rows}
    seen = next(row for row in samples.rows if facts.index.loc[row.cell_id, "dates"] == 3)
    assert [frame.title for frame in seen.frames[:4]] == [
        "2019-03-04, early",
        "2019-05-06, early",
        "2020-07-08, late",
        "SCL",
    ]
    assert [frame.note for frame in seen.frames[:2]] == ["12.5 % bad", "0 % bad"]
    colour = imread(io.BytesIO(base64.b64decode(seen.frames[0].image.split(",")[1])), format="png")
    assert colour.shape == (24, 24, 4)
    assert (colour[..., 3] == 1).all()
    assert (colour[-1, :, :3].mean(axis=0) > colour[0, :, :3].mean(axis=0)).all()
    assert (colour[..., 0] >= colour[..., 2]).all(), "B04 is the red channel and the brightest here, B02 the blue"
    assert "no scene was good enough" in [frame.note for frame in by_id[facts.index.index[0]].frames]
    assert {entry.name for entry in samples.legends[0].entries} == {"vegetation", "not vegetated"}
    land = next(legend for legend in samples.legends if legend.name.endswith("land_use"))
    assert [(entry.name, entry.look) for entry in land.entries] == [("wooded", "#1b7837"), ("unlabeled", "unknown")]


def test_label_picture_is_the_label_array(small):
    facts = read_facts(small)
    cell = facts.index.index[facts.index["share_osm_land_use_wooded"] > 0][0]
    labels = facts.dataset[cell]["labels/osm"]["labels"].sel(channel="land_use").values
    row = next(row for row in make_samples(facts).rows if row.cell_id == cell)
    frame = next(frame for frame in row.frames if frame.title == "land_use")
    drawn = np.rint(255 * imread(io.BytesIO(base64.b64decode(frame.image.split(",")[1])), format="png")).astype(int)
    assert ((drawn[..., 3] == 0) == (labels == 255)).all()
    assert (drawn[labels == 0] == [0x1B, 0x78, 0x37, 255]).all()


def test_label_map_shows_the_labelled_share_of_the_ground(small):
    facts = read_facts(small)
    index = facts.index
    shown = label_map(facts, "osm")
    wood = to_hex(colormaps["viridis"].resampled(10)(0.25))
    assert index["osm_labelled"].tolist() == [0.25] * 4 + [0] * 10
    bare = to_hex(colormaps["viridis"].resampled(10)(0.0))
    assert shades(shown.svg, wood) == 4 + shades(label_map(nothing_labelled(small), "osm").svg, wood)
    assert "Hollow" not in shown.caption and shades(shown.svg, bare) >= 10
    # of a cell that is half outside the extent the share of the half inside; of one wholly outside nothing is known
    index.loc[index.index[0], "osm_coverage"], index.loc[index.index[1], "osm_coverage"] = 0.5, 0.0
    again = label_map(facts, "osm")
    assert shades(again.svg, wood) == shades(shown.svg, wood) - 2
    assert shades(again.svg, to_hex(colormaps["viridis"].resampled(10)(0.5))) == 1 + shades(shown.svg, to_hex(colormaps["viridis"].resampled(10)(0.5)))  # fmt: skip
    assert "Hollow: no ground inside the extent." in again.caption


def nothing_labelled(folder: Path) -> Facts:
    facts = read_facts(folder)
    facts.index["osm_labelled"] = 0.0
    return facts


def test_every_kind_of_label_has_its_pictures(rich):
    """Claims and masks only where there are any; colours by the arrays."""
    facts = read_facts(rich)
    samples = make_samples(facts)
    titles = ["clc: land_cover", "clc: land_cover, small regions", "dem: layer", "lpis-2019: crop", "lpis-2019: claims", "lpis-2020: crop"]  # fmt: skip
    names = {"none": -1}
    seen = set()
    for row in samples.rows:
        assert [frame.title for frame in row.frames[-6:]] == titles
        frames = {frame.title: frame for frame in row.frames}
        cell = facts.dataset[row.cell_id]["labels"]
        claims, same = cell["lpis-2019"]["claims"].values, cell["lpis-2019"]["claims_same"].values
        crop = cell["lpis-2019"]["labels"].values[0]
        drawn = pixels_of(frames["lpis-2019: claims"])
        for y, x in np.ndindex(24, 24):
            look = next(
                (CLAIM_COLOURS[key][each[y, x] - 1] for key, each in (("claims", claims), ("claims_same", same)) if each[y, x]),
                None if crop[y, x] == 255 else "#d9d9d9",
            )  # fmt: skip
            assert tuple(drawn[y, x]) == ((*rgb(look), 255) if look else (0, 0, 0, 0))
            seen.add(look)
        ignore, land = cell["clc"]["ignore"].values[:, 0], cell["clc"]["labels"].values[0]
        drawn = pixels_of(frames["clc: land_cover, small regions"])
        assert ((drawn[..., 3] == 0) == (land == 255)).all()
        for levels, look in (((0, 0, 0), "#d9d9d9"), ((1, 0, 0), "#fee391"), ((1, 1, 0), "#fe9929")):
            mine = (ignore == np.array(levels)[:, None, None]).all(axis=0) & (land < 254)
            assert mine.any() and (drawn[mine, :3] == rgb(look)).all()
        layer = cell["dem"]["layer"].values
        drawn = pixels_of(frames["dem: layer"])
        assert ((drawn[..., 3] == 0) == np.isnan(layer)).all()
        assert frames["dem: layer"].note == ("" if row_coverage(facts, row.cell_id) == 1 else f"{100 * row_coverage(facts, row.cell_id):.3g} % with data")  # fmt: skip
        names |= {row.cell_id: drawn[..., 0][~np.isnan(layer)].mean() if not np.isnan(layer).all() else -1}
    assert len(seen) == 6
    by_mean = facts.index.loc[[row.cell_id for row in samples.rows], "dem_mean"].dropna().sort_values()
    greys = [names[cell] for cell in by_mean.index]
    assert greys == sorted(greys) and len(set(greys)) > 5
    legends = {legend.name: [entry.name for entry in legend.entries] for legend in samples.legends}
    assert legends["Small regions: clc / land_cover"] == ["counted", "too small for easy", "too small for easy, medium", "no class"]  # fmt: skip
    assert legends["Claims: lpis-2019"][0] == "one parcel" and len(legends["Claims: lpis-2019"]) == 6
    assert "Claims: lpis-2020" not in legends and len(legends["Labels: clc / land_cover"]) == 34


def row_coverage(facts: Facts, cell: str) -> float:
    return float(facts.index.loc[cell, "dem_coverage"])


def test_the_page_tells_what_became_of_the_sources(rich, rich_page):
    text = rich_page.text
    known = json.loads((rich / "statistics.json").read_text())["labels"]
    for words in (
        "Features near the cells 1,234 areas", "rejected: null geometry 17", "crossed or touched themselves 5", "known to no rule: CLC18=335 3",
        "known to no rule: CLC18=<b> 1", "Year 2019", "Static layer “dem” at 10 m", "Labels “clc”: land_cover at 2.5 m",
        "Layer “dem” of 1 cells, on which the source has no data.", "Distribution of dem", "Map of clc: labelled share",
        f"mean {known['dem']['mean']:,.5g}, from 400 to 1,616", "claimed twice", percent(known["lpis-2019"]["claimed_wholly"]["pixels"]),
        "with or without imagery (the source's extent is unknown: all are taken as covered)", "Extent where the raster has data",
    ):  # fmt: skip
        assert words in text, words
    for one in shipped(Path(__file__).parents[2], "seasonet-clc")["categories"]:
        assert one["name"] in text
        assert percent(known["clc"]["classes"][f"land_cover/{one['name']}"]["pixels"]) in text
    assert "openstreetmap.org/copyright" not in text
    assert f"On average {percent(known['lpis-2019']['labelled_share'])} of a cell is labelled" in text


def test_a_layer_without_any_data(tmp_path, root):
    def nothing(root: Path, cells: pd.DataFrame) -> Any:
        return {"dem": {"arrays": {"layer": np.full((len(cells), 24, 24), np.nan, "float32")}}}, {}

    page = Page(page_of(build(tmp_path, root, labels=nothing)))
    assert "Distribution of dem" not in page.text and "Hollow: no data." in page.text
    assert "0 % with data" in page.text


def test_long_class_names_are_shortened_on_axes():
    assert shortened("x" * 48) == "x" * 48
    assert shortened("y" * 49) == "y" * 47 + "…"


def test_chosen_cells(small):
    facts = read_facts(small)
    cells = chosen(facts)
    assert cells == chosen(facts)
    assert len(cells) == len(set(cells)) == CELLS
    assert set(facts.index.loc[cells, "split"]) == set(facts.splits) == {"train", "val", "test"}
    assert 0 in facts.index.loc[cells, "dates"].tolist()
    assert (facts.index.loc[cells, "share_osm_land_use_wooded"] > 0).any()


def test_without_labels(odd_text):
    page = Page(odd_text)
    assert "There are no labels." in page.text
    assert "14 with imagery" in page.text
    assert "Label classes" not in page.text
    assert "without imagery" not in page.text
    assert len(page.images()) == CELLS * 3, "two dates and SCL"


def test_without_any_patch(tmp_path, root):
    page = Page(page_of(build(tmp_path, root, blank=14)))
    assert "0 patches" in page.text
    assert "there is no patch" in page.text
    assert "without imagery (14)" in page.text
    assert "Bands: mean" not in page.text
    assert "Label classes of osm" in page.text


def test_one_band_is_grey(odd, odd_text):
    samples = make_samples(read_facts(odd))
    assert "B05 in grey" in samples.caption
    image = samples.rows[0].frames[0].image
    pixels = imread(io.BytesIO(base64.b64decode(image.split(",")[1])), format="png")
    assert pixels.shape == (12, 12, 4)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    assert len(np.unique(pixels[..., 0])) > 20
    page = Page(odd_text)
    assert "1 period" in page.text
    assert "Bands of s2_l2a that were not asked for: B01, B02" in page.text


def test_map_of_many_cells_is_a_sample(small, monkeypatch):
    facts = read_facts(small)
    assert cell_map(facts).caption.startswith("All cells by split, as footprints")
    monkeypatch.setattr("tilewright.report.cellmap.MAX_CELLS", 5)
    assert cell_map(facts).caption.startswith("5 of the 14 cells")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([9.5, 9.6], [9.5, 9.6]),
        ([9.5], [9.5]),
        ([9.5, 9.5], [9.5, 9.5]),
        ([179.9, -179.9], [179.9, 180.1]),
        ([-179.9, 179.9, 170.0], [180.1, 179.9, 170.0]),
        ([-120.0, 0.0, 100.0], [-120.0, 0.0, 100.0]),
        (list(range(-180, 180, 10)), list(range(-180, 180, 10))),
    ],
)
def test_longitudes_lie_together(given, expected):
    assert turned(np.array(given)) == pytest.approx(expected)


def test_statistics_of_another_dataset(tmp_path, odd):
    folder = tmp_path / "odd"
    shutil.copytree(odd, folder, ignore=shutil.ignore_patterns("report.html"))
    path = folder / "statistics.json"
    known = json.loads(path.read_text())
    known["cells"]["index"] += 1
    path.write_text(json.dumps(known))
    with pytest.raises(TilewrightError, match=r"statistics\.json is not of"):
        make_report(folder, "", folder / "report.html")
    assert not (folder / "report.html").exists()
    path.unlink()
    with pytest.raises(TilewrightError, match=r"statistics\.json is missing"):
        make_report(folder, "", folder / "report.html")


def test_traffic_is_summed_over_the_dataset_and_nothing_else(tmp_path: Path):
    from tilewright.report.traffic import traffic

    def write(of: str, period: str, name: str, **counts: object) -> None:
        folder = tmp_path / "tiles" / of / period
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(counts))

    for tile, period in (("32TNT", "2019"), ("32TNT", "2020"), ("31TCH", "2019"), ("32TNT", "dropped")):
        counts = {"blocks": 100, "bytes_needed": 1000, "bytes_fetched": 1010, "retries": 1, "pieces_read": 7}
        write(tile, period, "patches.traffic.json", stage="crop", tile=tile, **counts)
    write("32TNT", "2019", "masks.traffic.json", stage="mask", tile="32TNT", blocks=3)
    mask, crop = traffic(tmp_path, ["32TNT"], ["2019", "2020"])
    assert (mask.jobs, mask.counts["blocks"], mask.excess) == (1, 3, 0.0)
    assert (crop.jobs, crop.counts["blocks"], crop.counts["retries"], crop.counts["pieces_read"]) == (2, 200, 2, 14)
    assert crop.excess == pytest.approx(0.01)
    (tmp_path / "tiles/32TNT/2019/patches.traffic.json").write_text("{")
    with pytest.raises(TilewrightError, match=r"patches.traffic.json cannot be read .*delete it"):
        traffic(tmp_path, ["32TNT"], ["2019"])
