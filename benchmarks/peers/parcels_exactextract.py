"""exactextract's exact coverage of every pixel by every parcel, then the same arrays from it: the truth of the comparison."""

import json

import numpy as np
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from parcels_job import ULX, ULY, ParcelsJob, job, timed

WHOLE = 1 - 2**-24  # its shares are float32, of which only 1 itself is above this


def main(of: ParcelsJob) -> None:
    table = of.projected()
    size = of.side * of.side
    raster = NumPyRasterSource(
        np.zeros((of.side, of.side), np.uint8), ULX, ULY - of.side_m, ULX + of.side_m, ULY, srs_wkt=table.crs.to_wkt()
    )
    told: list = []
    coverage_s = timed(lambda: told.append(exact_extract(raster, table, ["cell_id", "coverage"], output="pandas")))
    arrays: dict[str, np.ndarray] = {}

    def reduce() -> None:
        cells, shares = told[0]["cell_id"].to_numpy(), told[0]["coverage"].to_numpy()
        lengths = np.array([len(one) for one in cells])
        pixel, share = np.concatenate(list(cells)), np.concatenate(list(shares)).astype(np.float32)
        parcel = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        kept = share > 0
        pixel, share, parcel = pixel[kept], share[kept], parcel[kept]
        instance, covered = np.zeros(size, np.uint32), np.zeros(size, np.float32)
        different, same = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        ids = table["source_id"].to_numpy(dtype=np.uint32)
        alone = np.bincount(pixel, minlength=size)[pixel] == 1  # most pixels: nothing to sort there
        instance[pixel[alone]], covered[pixel[alone]] = ids[parcel[alone]], share[alone]
        pixel, share, parcel = pixel[~alone], share[~alone], parcel[~alone]
        order = np.lexsort((parcel, -share, pixel))
        best = order[np.append(True, pixel[order][1:] != pixel[order][:-1])]
        instance[pixel[best]], covered[pixel[best]] = ids[parcel[best]], share[best]
        crop = table["crop"].to_numpy()[parcel]
        for mark, least in ((1, 0), (2, WHOLE)):
            some = np.flatnonzero(share > least)
            some = some[np.lexsort((crop[some], pixel[some]))]
            twice, equal = pixel[some][1:] == pixel[some][:-1], crop[some][1:] == crop[some][:-1]
            different[pixel[some][1:][twice & ~equal]] = mark
            same[pixel[some][1:][twice & equal]] = mark
        for name, array in (
            ("instance", instance),
            ("coverage", covered),
            ("claims", different),
            ("claims_same", same),
        ):
            arrays[name] = array.reshape(of.side, of.side)

    reduce_s = timed(reduce)
    of.keep("exactextract", **arrays)
    print(json.dumps({"cpu_s": coverage_s + reduce_s, "coverage_s": coverage_s, "reduce_s": reduce_s}))


if __name__ == "__main__":
    main(job())
