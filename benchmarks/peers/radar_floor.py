"""The decode floor: every block that the cells meet, once, from memory, by one thread, into one buffer: inflating, nothing else."""

import json
import sys
import time

import imagecodecs
import numpy as np
import tifffile
from radar_job import Job


def main() -> None:
    with open(sys.argv[1]) as file:
        job = Job(json.load(file))
    with tifffile.TiffFile(job.file) as tiff:
        page = tiff.pages.first
        assert (page.compression, page.predictor) == (8, 1), "the floor knows DEFLATE without predictor only"
        data = []
        for block in job.blocks:
            tiff.filehandle.seek(page.dataoffsets[block])
            data.append(tiff.filehandle.read(page.databytecounts[block]))
        buffer = np.empty(page.tilelength * page.tilewidth * page.dtype.itemsize, np.uint8)
    cpu, wall = time.process_time(), time.perf_counter()
    for packed in data:
        imagecodecs.deflate_decode(packed, out=buffer)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "mb": sum(map(len, data)) / 1e6, "blocks": len(data)}))


if __name__ == "__main__":
    main()
