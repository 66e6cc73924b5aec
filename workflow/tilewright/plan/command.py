"""`tilewright plan`: finds the config as Snakemake does, plans, prints and writes."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tilewright.config.load import merged_configs
from tilewright.errors import TilewrightError
from tilewright.plan.making import make_plan
from tilewright.plan.showing import document, text
from tilewright.rules import PROJECT, DatasetConfig, config_files
from tilewright.store import replacing


def run(
    configfiles: Sequence[Path],
    cores: int | None,
    search: bool,
    looked_at: int,
    mbit: float | None,
    output: Path | None,
) -> str:
    """Plan the dataset of a config, write the plan as JSON, and return it as text.

    Args:
        configfiles: merged in their order; none: config/config.yaml of the working folder or, without it, the project's.
        cores: of the run; None: those of this machine.
        search: whether STAC APIs are asked.
        looked_at: tiles at most whose imagery is planned.
        mbit: Mbit/s of the connection.
        output: the JSON file; None: plans/<dataset>.json, beside the folder results.

    Raises:
        TilewrightError: a config, files or a catalog that do not serve.
    """
    if looked_at < 1:
        raise TilewrightError(f"--sample: {looked_at} is no number of tiles; give 1 or more")
    if cores is not None and cores < 1:
        raise TilewrightError(f"--cores: {cores} is no number of cores; give 1 or more")
    if mbit is not None and not mbit > 0:
        raise TilewrightError(f"--mbit: {mbit:g} is no speed; give Mbit/s above 0")
    dataset = DatasetConfig.load(merged_configs(config_files(configfiles)), PROJECT)
    plan = make_plan(dataset, looked_at, search, cores or os.cpu_count() or 1, mbit)
    path = output or Path("plans") / f"{dataset.name}.json"
    with replacing(path) as part:
        part.write_text(json.dumps(document(plan), indent=1, ensure_ascii=False) + "\n")
    return f"{text(plan)}\nwritten to {path}\n"
