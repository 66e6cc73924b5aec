"""The decode floor: every block that the cells meet, once, from memory, by one thread, into one buffer that is used again.

Nothing is fetched, scattered or kept, so no reader of these files that uses libdeflate can need less CPU. What it takes to
bring the blocks into memory is not timed; the result says how many bytes and blocks they are.
"""

import json
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import imagecodecs
import numpy as np
import tifffile
from job import Job


def blocks_in_memory(
    job: Job, scenes: list[dict[str, str]], bands: Iterable[str]
) -> list[tuple[list[bytes], np.dtype, int]]:
    """For each asset the compressed bytes of its unique blocks, its type and its block's side."""
    found = []
    for files in scenes:
        for band in bands:
            with tifffile.TiffFile(files[band]) as tiff:
                page = tiff.pages.first
                assert (page.compression, page.predictor) == (8, 2), "the floor knows DEFLATE with predictor 2 only"
                across = -(-page.imagewidth // page.tilewidth)
                data = []
                for i, j in job.blocks(band, page.tilewidth):
                    tiff.filehandle.seek(page.dataoffsets[i * across + j])
                    data.append(tiff.filehandle.read(page.databytecounts[i * across + j]))
                found.append((data, page.dtype, page.tilewidth))
    return found


def decode(blocks: list[tuple[list[bytes], np.dtype, int]]) -> None:
    """Inflate and undo the differencing."""
    for data, dtype, side in blocks:
        buffer = np.empty((side, side), dtype)
        flat = buffer.reshape(-1).view(np.uint8)
        for block in data:
            imagecodecs.deflate_decode(block, out=flat)
            imagecodecs.delta_decode(buffer, axis=-1, out=buffer)


def main() -> None:
    if len(sys.argv) < 2:
        return
    with open(sys.argv[1]) as file:
        job = Job(json.load(file))
    blocks = blocks_in_memory(job, job.files, job.bands)
    if job.warm:
        decode(blocks[:1])
    cpu, wall = time.process_time(), time.perf_counter()
    decode(blocks)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    # The same on all threads: what a reader that decodes in parallel may need when they share caches and memory.
    shared_cpu, shared_wall = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(job.threads) as pool:
        list(pool.map(decode, [blocks[at :: job.threads] for at in range(job.threads)]))
    shared_wall, shared_cpu = time.perf_counter() - shared_wall, time.process_time() - shared_cpu
    told = {"wall_s": wall, "cpu_s": cpu, "parallel_wall_s": shared_wall, "parallel_cpu_s": shared_cpu}
    counted = {
        "mb": sum(len(data) for many, _, _ in blocks for data in many) / 1e6,
        "blocks": sum(len(many) for many, _, _ in blocks),
    }
    print(json.dumps({**told, **counted}))


if __name__ == "__main__":
    main()
