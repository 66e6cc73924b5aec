# Ground truth: label sources normalised once, the features of a tile, and their rasters.

if DATASET.label_sets:

    rule source:
        input:
            files_of_source,
        output:
            f"{RESULTS}/sources/{{source}}.parquet",
        log:
            here(f"{LOGS}/source/{{source}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=of_source("mem_mb"),
            runtime=of_source("runtime"),
            disk_mb=of_source("disk_mb"),
        params:
            settings=settings_of("source"),
            version=DATASET.version("source"),
        message:
            "Reading the label source {wildcards.source}, once for all tiles"
        shell:
            "python -m tilewright --log {log} source --settings {params.settings:q} --output {output}"

    if DATASET.asked:

        rule ask:
            input:
                cells=f"{TILE}/cells.parquet",
                sea=files_of_source,
            output:
                f"{TILE}/asked/{{source}}.parquet",
            log:
                here(f"{LOGS}/ask/{{tile}}-{{source}}.log"),
            localrule: True
            conda:
                ENVIRONMENT
            resources:
                mem_mb=growing("ask", "mem_mb"),
                runtime=growing("ask", "runtime"),
                disk_mb=needs("ask")["disk_mb"],
                # counts only where a run sets a limit: --resources overpass=1
                overpass=1,
            params:
                settings=settings_of("ask"),
                version=DATASET.version("ask"),
            message:
                "Asking an Overpass API for {wildcards.tile}"
            shell:
                "python -m tilewright --log {log} ask --cells {input.cells} --settings {params.settings:q} --output {output}"

    rule features:
        input:
            cells=f"{TILE}/cells.parquet",
            sources=SOURCES + ASKED,
        output:
            f"{TILE}/features.parquet",
        log:
            here(f"{LOGS}/features/{{tile}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=growing("features", "mem_mb"),
            runtime=growing("features", "runtime"),
            disk_mb=needs("features")["disk_mb"],
        params:
            settings=settings_of("features"),
            version=DATASET.version("features"),
        message:
            "Cutting the label sources to {wildcards.tile}"
        shell:
            "python -m tilewright --log {log} features --cells {input.cells} --sources {input.sources} "
            "--settings {params.settings:q} --output {output}"

    rule labels:
        input:
            **filled(ontologies=yours(list(DATASET.ontologies.values())), rasters=yours(DATASET.label_rasters)),
            cells=f"{TILE}/cells.parquet",
            features=f"{TILE}/features.parquet",
        output:
            f"{TILE}/labels.zarr.zip",
        log:
            here(f"{LOGS}/labels/{{tile}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=growing("labels", "mem_mb"),
            runtime=growing("labels", "runtime"),
            disk_mb=needs("labels")["disk_mb"],
        params:
            settings=settings_of("labels"),
            version=DATASET.version("labels"),
        message:
            "Rasterising the labels of {wildcards.tile}"
        shell:
            "python -m tilewright --log {log} labels --cells {input.cells} --features {input.features} "
            "--settings {params.settings:q} --output {output}"

    # Not of the default targets: what the ontology makes of this area's tags.
    rule legend:
        input:
            ontology=ontology_of,
            features=features_of_legend,
        output:
            page=f"{RESULTS}/legends/{{label_set}}.html",
            table=f"{RESULTS}/legends/{{label_set}}.csv",
        log:
            here(f"{LOGS}/legend/{{label_set}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=of_tiles("legend", "mem_mb"),
            runtime=of_tiles("legend", "runtime"),
            disk_mb=of_tiles("legend", "disk_mb"),
        params:
            version=DATASET.version("legend"),
            features=lambda wildcards, input: f"--features {shlex.join(input.features)}" if input.features else "",
        message:
            "Drawing the legend of {wildcards.label_set} and what its rules leave out"
        shell:
            "python -m tilewright --log {log} legend --label-set {wildcards.label_set} --ontology {input.ontology} "
            "{params.features} --output {output.page}"
