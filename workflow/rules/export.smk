# The dataset in the layouts of others: tile by tile, then what an export needs as a whole.

if DATASET.layouts:

    rule export_tile:
        input:
            **filled(
                labels=f"{TILE}/labels.zarr.zip" if DATASET.label_sets else [],
                companions=[f"{TILE}/{period}/companions.parquet" for period in DATASET.periods if DATASET.companions],
            ),
            index=f"{RESULTS}/index.parquet",
            statistics=f"{RESULTS}/statistics.json",
            series=f"{TILE}/series.zarr.zip",
            scenes=[f"{TILE}/{period}/scenes.parquet" for period in DATASET.periods],
        output:
            # update(): the last run's tables stay in place, and a tile of which nothing has changed is not written again
            files=update(here(f"{EXPORT}.tiles/{{tile}}/files.parquet")),
            records=update(here(f"{EXPORT}.tiles/{{tile}}/records.parquet")),
        log:
            here(f"{LOGS}/export_tile/{{layout}}-{{tile}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=growing("export_tile", "mem_mb"),
            runtime=growing("export_tile", "runtime"),
            disk_mb=needs("export_tile")["disk_mb"],
        params:
            settings=settings_of("export_tile"),
            folder=dataset_folder,
            root=export_folder,
            version=DATASET.version("export_tile"),
        message:
            "Writing {wildcards.tile} in the layout {wildcards.layout}"
        shell:
            "python -m tilewright --log {log} export_tile --dataset {params.folder} --tile {wildcards.tile} --root {params.root} "
            "--settings {params.settings:q} --files {output.files} --records {output.records}"

    rule export:
        input:
            index=f"{RESULTS}/index.parquet",
            statistics=f"{RESULTS}/statistics.json",
            tables=tables_of_export,
            locations=locations,
        output:
            card=here(f"{EXPORT}/README.md"),
            croissant=here(f"{EXPORT}/croissant.json"),
            collection=here(f"{EXPORT}/collection.json"),
        log:
            here(f"{LOGS}/export/{{layout}}.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=of_tiles("export", "mem_mb"),
            runtime=of_tiles("export", "runtime"),
            disk_mb=of_tiles("export", "disk_mb"),
        params:
            settings=settings_of("export"),
            # a function: Snakemake would take braces in a text for wildcards
            config=lambda wildcards: DATASET.text,
            folder=dataset_folder,
            root=export_folder,
            tables=lambda wildcards, input: list(dict.fromkeys(Path(table).parent for table in input.tables)),
            locations=lambda wildcards, input: f"--locations {shlex.quote(input.locations)}" if input.locations else "",
            version=DATASET.version("export"),
        message:
            "Finishing the export in the layout {wildcards.layout}"
        shell:
            "python -m tilewright --log {log} export --dataset {params.folder} --root {params.root} --tables {params.tables} {params.locations} "
            "--settings {params.settings:q} --config-text {params.config:q}"
