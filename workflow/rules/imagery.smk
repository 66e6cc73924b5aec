# Pixels: the chosen patches of each period, then each cell's series.


rule crop:
    input:
        **filled(companions=f"{PERIOD}/companions.parquet" if DATASET.companions else []),
        cells=f"{TILE}/cells.parquet",
        scenes=f"{PERIOD}/scenes.parquet",
        masks=f"{PERIOD}/masks.parquet",
    output:
        # the last run's patches stay in place, and what is still wanted of them is not read again
        patches=updated(f"{PERIOD}/patches.zarr.zip"),
        selection=f"{PERIOD}/selection.parquet",
    log:
        text=here(f"{LOGS}/crop/{{tile}}-{{period}}.log"),
        traffic=here(f"{PERIOD}/patches.traffic.json"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=growing("crop", "mem_mb"),
        runtime=growing("crop", "runtime"),
        disk_mb=needs("crop")["disk_mb"],
    params:
        settings=settings_of("crop"),
        access=access,
        version=DATASET.version("crop"),
    message:
        "Cropping {wildcards.tile} in {wildcards.period}"
    shell:
        "python -m tilewright --log {log.text} crop --tile {wildcards.tile} --threads {threads} --cells {input.cells} --scenes {input.scenes} "
        + ("--companions {input.companions:q} " if DATASET.companions else "")
        + "--masks {input.masks} --settings {params.settings:q} --access {params.access:q} --patches {output.patches} "
        "--selection {output.selection} --traffic {log.traffic}"


rule group:
    input:
        cells=f"{TILE}/cells.parquet",
        patches=[f"{TILE}/{period}/patches.zarr.zip" for period in DATASET.periods],
    output:
        f"{TILE}/series.zarr.zip",
    log:
        here(f"{LOGS}/group/{{tile}}.log"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=growing("group", "mem_mb"),
        runtime=growing("group", "runtime"),
        disk_mb=needs("group")["disk_mb"],
    params:
        settings=settings_of("group"),
        version=DATASET.version("group"),
    message:
        "Grouping the patches of {wildcards.tile} into series"
    shell:
        "python -m tilewright --log {log} group --tile {wildcards.tile} --threads {threads} --cells {input.cells} --patches {input.patches} "
        "--settings {params.settings:q} --output {output}"
