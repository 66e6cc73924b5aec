"""The page as a whole: `make_report`."""

import logging
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tilewright.report import scenetables, splittables, tables
from tilewright.report.cellmap import cell_map, split_words
from tilewright.report.drawing import NONE_COLOUR, SPLIT_COLOURS, UNKNOWN_COLOUR, percent
from tilewright.report.facts import read_facts
from tilewright.report.plots import all_plots
from tilewright.report.samples import make_samples
from tilewright.report.traffic import traffic
from tilewright.store.seal import write_page

log = logging.getLogger(__name__)


def make_report(dataset: str | Path, config_text: str, output: Path, runs: Path | None = None) -> None:
    """Write one self-contained HTML page about a dataset.

    The same dataset, config and software give the same bytes,
    but for the section on what reading cost, which is of the runs.

    Args:
        dataset: its folder, or its URL, with `index.parquet`, `statistics.json` and the stores that the index names.
        config_text: the config, shown as it is.
        output: the page.
        runs: the folder that the jobs wrote what reading cost into, where that is not the dataset's.

    Raises:
        TilewrightError: where a file of the dataset is missing or damaged.
    """
    facts = read_facts(dataset)
    # Everything that comes from files is escaped; only the SVG that matplotlib made goes in as it is.
    environment = Environment(
        loader=PackageLoader("tilewright.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"split_words": split_words, "number": lambda value: f"{value:,}", "percent": percent}
    page = environment.get_template("report.html.j2").render(
        name=facts.name, described=facts.described, split_rows=splittables.split_rows(facts), how_split=splittables.how_split(facts),
        acceptance=splittables.acceptance(facts), audited=splittables.audited(facts), figures=tables.figures(facts),
        about=tables.described(facts), map=cell_map(facts), samples=make_samples(facts), plots=all_plots(facts),
        periods=scenetables.periods(facts), radiometry=scenetables.radiometry(facts), catalogs=scenetables.catalogs(facts),
        several=bool(facts.companions), image_sources=tables.image_sources(facts), sampling=tables.sampling(facts),
        label_sources=tables.label_sources(facts), absent=tables.absent(facts), traffic=traffic(runs or Path(dataset), set(facts.index["tile"]), facts.statistics["periods"]), versions=tables.versions(),
        config_text=config_text, split_colours=SPLIT_COLOURS, none_colour=NONE_COLOUR, unknown_colour=UNKNOWN_COLOUR,
    )  # fmt: skip
    write_page(output, page)
    log.info("report: %.1f MB", len(page) / 1e6)
