# tilewright: from a few lines of config to a machine-learning dataset, one MGRS tile at a time.
#
#     snakemake --cores 32                                            the dataset of config/config.yaml
#     snakemake --cores 4 results/demo/tiles/32TQM/series.zarr.zip    one tile
#     snakemake --cores 32 --configfile my.yaml                       another dataset
import os
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.20")

# Not workflow.basedir: where another workflow imports this one, that is the other's folder.
if not isinstance(workflow.current_basedir, os.PathLike):
    raise WorkflowError("tilewright's rules run the library beside them: clone it, and give its Snakefile's path")
ROOT = Path(workflow.current_basedir)
IMPORTED = not workflow.modifier.is_main_snakefile()

# A config given by --configfile stands alone: merged into the default, its lists would replace and its maps would mix.
# A workflow that imports this one gives the whole config in its `module`.
if not IMPORTED and not workflow.overwrite_configfiles:

    configfile: Path("config/config.yaml") if Path("config/config.yaml").is_file() else ROOT / "config/config.yaml"


# For --sdm apptainer: made of envs/tilewright.def, as docs/environments.md says.
container: str(ROOT / "envs/tilewright.sif")


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/labels.smk"
include: "workflow/rules/imagery.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/export.smk"


rule all:
    default_target: not IMPORTED
    input:
        index=f"{RESULTS}/index.parquet",
        statistics=f"{RESULTS}/statistics.json",
        collection=f"{RESULTS}/collection.json",
        report=f"{RESULTS}/report.html",
        exports=here([f"{RESULTS}/exports/{layout}/README.md" for layout in DATASET.layouts]),


# At the end of a run: what failed, why, and what to do about it, or where the dataset is. Imported only then.
onsuccess:
    from tilewright.operations.failures import tell_success

    tell_success(RESULTS)


onerror:
    from tilewright.operations.failures import tell_failures

    tell_failures(log, RESULTS)
