# Which ground and which scenes: the simulated world, cells, search, mask.

if DATASET.config.simulate:

    rule simulate:
        output:
            catalog=yours(str(DATASET.simulated_catalog())),
            osm=yours(f"{DATASET.simulated_folder()}/world.osm.pbf"),
        log:
            here("logs/simulate.log"),
        conda:
            ENVIRONMENT
        threads: 2
        resources:
            mem_mb=growing("simulate", "mem_mb"),
            runtime=growing("simulate", "runtime"),
            disk_mb=needs("simulate")["disk_mb"],
        params:
            settings=settings_of("simulate"),
            version=DATASET.version("simulate"),
        message:
            "Simulating a world of fields, towns and clouds"
        shell:
            "python -m tilewright --log {log} simulate --settings {params.settings:q} --directory $(dirname {output.catalog})"


if DATASET.config.aoi.cities:

    # The one checkpoint: which tiles there are is itself a result.
    checkpoint locations:
        input:
            table=yours(DATASET.city_table),
        output:
            yours(DATASET.locations_file),
        log:
            here(f"{LOGS}/locations.log"),
        conda:
            ENVIRONMENT
        resources:
            mem_mb=growing("locations", "mem_mb"),
            runtime=growing("locations", "runtime"),
            disk_mb=needs("locations")["disk_mb"],
        params:
            settings=settings_of("locations"),
            version=DATASET.version("locations"),
        message:
            "Sampling places around cities"
        shell:
            "python -m tilewright --log {log} locations --settings {params.settings:q} --output {output}"


# Of light rules: on a cluster they run where Snakemake runs, since a submission starts Snakemake twice, which costs more.
rule cells:
    input:
        **filled(
            rasters=yours(DATASET.cell_rasters),
            truth=GROUND_TRUTH,
            locations=locations if DATASET.config.aoi.cities else [],
        ),
    output:
        f"{TILE}/cells.parquet",
    log:
        here(f"{LOGS}/cells/{{tile}}.log"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=needs("cells")["mem_mb"],
        runtime=needs("cells")["runtime"],
        disk_mb=needs("cells")["disk_mb"],
    params:
        settings=settings_of("cells"),
        version=DATASET.version("cells"),
    message:
        "Sampling tile {wildcards.tile}"
    shell:
        "python -m tilewright --log {log} cells --tile {wildcards.tile} "
        + ("--truth {input.truth:q} " if GROUND_TRUTH else "")
        + ("--locations {input.locations:q} " if DATASET.config.aoi.cities else "")
        + "--settings {params.settings:q} --output {output}"


rule search:
    input:
        **filled(catalog=catalogs(PRIMARY)),
    output:
        f"{PERIOD}/scenes.parquet",
    log:
        here(f"{LOGS}/search/{{tile}}-{{period}}.log"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=needs("search")["mem_mb"],
        runtime=needs("search")["runtime"],
        disk_mb=needs("search")["disk_mb"],
        # counts only where a run sets a limit: --resources searches=8, as the profiles of clusters do
        searches=1,
    params:
        settings=settings_of("search"),
        access=access,
        version=DATASET.version("search"),
    message:
        "Searching scenes of {wildcards.tile} in {wildcards.period}"
    shell:
        "python -m tilewright --log {log} search --tile {wildcards.tile} --settings {params.settings:q} --access {params.access:q} --output {output}"


# Apart from the primary's: one more sensor searches and counts nothing of the primary again.
rule search_companions:
    input:
        **filled(catalog=catalogs(*DATASET.companions)),
    output:
        f"{PERIOD}/companions.parquet",
    log:
        here(f"{LOGS}/search_companions/{{tile}}-{{period}}.log"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=needs("search_companions")["mem_mb"],
        runtime=needs("search_companions")["runtime"],
        disk_mb=needs("search_companions")["disk_mb"],
        # counts only where a run sets a limit: --resources searches=8, as the profiles of clusters do
        searches=1,
    params:
        settings=settings_of("search_companions"),
        access=access,
        version=DATASET.version("search"),
    message:
        "Searching companions of {wildcards.tile} in {wildcards.period}"
    shell:
        "python -m tilewright --log {log} search --tile {wildcards.tile} --settings {params.settings:q} --access {params.access:q} --output {output}"


rule mask:
    input:
        cells=f"{TILE}/cells.parquet",
        scenes=f"{PERIOD}/scenes.parquet",
    output:
        f"{PERIOD}/masks.parquet",
    log:
        text=here(f"{LOGS}/mask/{{tile}}-{{period}}.log"),
        # what reading cost: of the run, not of the dataset
        traffic=here(f"{PERIOD}/masks.traffic.json"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=growing("mask", "mem_mb"),
        runtime=growing("mask", "runtime"),
        disk_mb=needs("mask")["disk_mb"],
    params:
        settings=settings_of("mask"),
        access=access,
        version=DATASET.version("mask"),
    message:
        "Counting SCL classes of {wildcards.tile} in {wildcards.period}"
    shell:
        "python -m tilewright --log {log.text} mask --tile {wildcards.tile} --threads {threads} --cells {input.cells} --scenes {input.scenes} "
        "--settings {params.settings:q} --access {params.access:q} --output {output} --traffic {log.traffic}"
