# Ground truth: the vector features of a tile, and their rasters.

if DATASET.label_sets:

    rule features:
        input:
            cells=f"{TILE}/cells.parquet",
            sources=DATASET.label_files,
        output:
            f"{TILE}/features.parquet",
        log:
            f"{LOGS}/features/{{tile}}.log",
        benchmark:
            f"{BENCHMARKS}/features/{{tile}}.tsv"
        conda:
            ENVIRONMENT
        params:
            settings=settings_of("features"),
            version=DATASET.version("features"),
        message:
            "Cutting the label sources to {wildcards.tile}"
        shell:
            "python -m tilewright --log {log} features --cells {input.cells} --settings {params.settings:q} --output {output}"

    rule labels:
        input:
            cells=f"{TILE}/cells.parquet",
            features=f"{TILE}/features.parquet",
            ontologies=list(DATASET.ontologies.values()),
        output:
            f"{TILE}/labels.zarr.zip",
        log:
            f"{LOGS}/labels/{{tile}}.log",
        benchmark:
            f"{BENCHMARKS}/labels/{{tile}}.tsv"
        conda:
            ENVIRONMENT
        params:
            settings=settings_of("labels"),
            version=DATASET.version("labels"),
        message:
            "Rasterising the labels of {wildcards.tile}"
        shell:
            "python -m tilewright --log {log} labels --cells {input.cells} --features {input.features} "
            "--settings {params.settings:q} --output {output}"
