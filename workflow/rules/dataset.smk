# The dataset as a whole: zones, index with splits and statistics, report.


rule zone:
    input:
        files_of_zone,
    output:
        f"{RESULTS}/zones/{{zone}}.parquet",
    log:
        here(f"{LOGS}/zone/{{zone}}.log"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=of_tiles("zone", "mem_mb"),
        runtime=of_tiles("zone", "runtime"),
        disk_mb=of_tiles("zone", "disk_mb"),
    params:
        tiles=tiles_in,
        folder=tiles_folder,
        periods=DATASET.periods,
        labels="--labels" if DATASET.label_sets else "",
        companions="--companions" if DATASET.companions else "",
        version=DATASET.version("zone"),
    message:
        "Gathering the cells of UTM zone {wildcards.zone}"
    shell:
        "python -m tilewright --log {log} zone --tiles-folder {params.folder} --tiles {params.tiles} "
        "--periods {params.periods:q} {params.labels} {params.companions} --output {output}"


rule index:
    input:
        zones=zone_files,
        own=yours(DATASET.index_files),
    output:
        index=f"{RESULTS}/index.parquet",
        statistics=report(f"{RESULTS}/statistics.json", caption="../report/statistics.rst", category="Dataset"),
        collection=f"{RESULTS}/collection.json",
    log:
        here(f"{LOGS}/index.log"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=of_tiles("index", "mem_mb"),
        runtime=of_tiles("index", "runtime"),
        disk_mb=of_tiles("index", "disk_mb"),
    params:
        settings=settings_of("index"),
        version=DATASET.version("index"),
    message:
        "Indexing the dataset: splits, statistics, STAC collection"
    shell:
        "python -m tilewright --log {log} index --zones {input.zones} --settings {params.settings:q} --output {output.index} "
        "--statistics {output.statistics} --collection {output.collection}"


rule report:
    input:
        index=f"{RESULTS}/index.parquet",
        statistics=f"{RESULTS}/statistics.json",
    output:
        report(f"{RESULTS}/report.html", caption="../report/report.rst", category="Dataset"),
    log:
        here(f"{LOGS}/report.log"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=of_tiles("report", "mem_mb"),
        runtime=of_tiles("report", "runtime"),
        disk_mb=of_tiles("report", "disk_mb"),
    params:
        # a function: Snakemake would take braces in a text, such as ${KEY} or MGRS-{tile}, for wildcards
        config=lambda wildcards: DATASET.text,
        dataset=dataset_place,
        # what reading cost is of the runs, and written on the disk
        runs=f"--runs {RESULTS}" if BUCKET else "",
        version=DATASET.version("report"),
    message:
        "Drawing the report"
    shell:
        "python -m tilewright --log {log} report --dataset {params.dataset} {params.runs} --config-text {params.config:q} --output {output}"
