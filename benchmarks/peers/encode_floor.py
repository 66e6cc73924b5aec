"""The encode floor: every patch of the job through the codec of the store, from memory, by one thread. Nothing is written."""

import json
import sys
import time

import numpy as np
from floor import blocks_in_memory
from imagecodecs import deflate_decode, delta_decode
from job import Job

from tilewright.store.zarrzip import encode


def main() -> None:
    if len(sys.argv) < 2:
        return
    with open(sys.argv[1]) as file:
        job = Job(json.load(file))
    cpu = wall = 0.0
    encoded = 0
    for files in job.files:
        for band in job.bands:
            ((data, dtype, side),) = blocks_in_memory(job, [files], [band])
            patches = np.empty((len(job.cells), job.side(band), job.side(band)), dtype)
            block = np.empty((side, side), dtype)
            for ((i, j), cells), packed in zip(job.blocks(band, side).items(), data, strict=True):
                deflate_decode(packed, out=block.reshape(-1).view(np.uint8))
                delta_decode(block, axis=-1, out=block)
                job.scatter(block, (i * side, j * side), cells, band, patches)
            begun_cpu, begun = time.process_time(), time.perf_counter()
            for patch in patches:
                encoded += len(encode(patch))
            wall += time.perf_counter() - begun
            cpu += time.process_time() - begun_cpu
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "mb": encoded / 1e6, "patches": len(job.cells) * len(job.files)}))


if __name__ == "__main__":
    main()
