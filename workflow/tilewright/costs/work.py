"""How much work a job has, and what that costs: amounts in, CPU, memory, disk and bytes over the wire out.

`Work` is made by `costs.expected` from a config alone, or by whoever knows more (`dataclasses.replace`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """The amounts that a job's cost depends on. What a stage does not look at stays at its default.

    Attributes:
        tiles: tiles that the job gathers: 1 but for zone, index, report, legend and export.
        cells: cells of these tiles together.
        candidates: of cells: cells of the whole tile, before AOI, draw and filters.
        periods: periods of the dataset.
        scenes: of search: items in the answer; of search_companions: likewise, all companions together; of mask: acquisitions that are
            counted; of crop: acquisitions that the choice looks at (all that mask counted).
        companions: companion items that crop looks at.
        pieces: arrays of one band of one cell on one date that the job writes or reads, SCL and companions included: of crop those of its
            period, of all others those of all periods.
        pixels_mb: MB of these pieces, not packed.
        read_mb: MB of pixels that mask or crop unpacks from tiled TIFFs, each internal block counted as often as it is read.
        jp2_mb: the same from JPEG 2000 (Level-1C).
        radar_mb: the same from Sentinel-1 in radar geometry.
        label_sets: label sets of the dataset.
        label_mb: MB of the cells' label arrays, all sets, not packed.
        features: features of the label sources in the job's tiles (of source: in the source).
        source_mb: MB of the files that a label source is read from.
        layout: of export_tile and export: which.
        simulated_mb: of simulate: MB of pixels that the world has, all scenes and bands.
        simulated_km2: of simulate: area of the largest site.
    """

    tiles: int = 1
    cells: int = 0
    candidates: int = 0
    periods: int = 1
    scenes: float = 0
    companions: float = 0
    pieces: float = 0
    pixels_mb: float = 0
    read_mb: float = 0
    jp2_mb: float = 0
    radar_mb: float = 0
    label_sets: int = 0
    label_mb: float = 0
    features: float = 0
    source_mb: float = 0
    layout: str = ""
    simulated_mb: float = 0
    simulated_km2: float = 0


@dataclass(frozen=True)
class Cost:
    """What one job costs.

    Attributes:
        cpu_s: CPU seconds of the stage, its imports included; Snakemake's own are not.
        mem_mb: peak resident memory of the stage in MB.
        disk_mb: MB that it has on disk at its end and on the way, scratch files and the last output kept aside included.
        output_mb: MB of its outputs.
        wire_mb: MB that it reads of imagery (or of a catalog's answers), over the wire where the source is remote.
        requests: requests for these.
    """

    cpu_s: float
    mem_mb: float
    disk_mb: float
    output_mb: float = 0
    wire_mb: float = 0
    requests: float = 0
