# tilewright: from a few lines of config to a machine-learning dataset, one MGRS tile at a time.
#
#     snakemake --cores 32                                            the dataset of config/config.yaml
#     snakemake --cores 4 results/demo/tiles/32TQM/series.zarr.zip    one tile
#     snakemake --cores 32 --configfile my.yaml                       another dataset
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")

# A config given by --configfile stands alone: merged into the default, its lists would replace and its maps would mix.
if not workflow.overwrite_configfiles:

    configfile: Path("config/config.yaml") if Path("config/config.yaml").is_file() else Path(workflow.basedir) / "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/imagery.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/export.smk"


rule all:
    default_target: True
    input:
        index=f"{RESULTS}/index.parquet",
        statistics=f"{RESULTS}/statistics.json",
        collection=f"{RESULTS}/collection.json",
        report=f"{RESULTS}/report.html",
        exports=[f"{RESULTS}/exports/{layout}/README.md" for layout in DATASET.layouts],
