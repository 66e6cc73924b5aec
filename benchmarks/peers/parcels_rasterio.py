"""rasterio, all touched, the last parcel wins: ids alone, no coverage and no claims."""

import json

from parcels_job import ULX, ULY, ParcelsJob, job, timed
from rasterio.features import rasterize
from rasterio.transform import from_origin


def main(of: ParcelsJob) -> None:
    table = of.projected()
    made = []

    def burn() -> None:
        shapes = zip(table.geometry.to_numpy(), table["source_id"].tolist(), strict=True)
        place = from_origin(ULX, ULY, of.step, of.step)
        made.append(rasterize(shapes, (of.side, of.side), transform=place, all_touched=True, dtype="uint32"))

    spent = timed(burn)
    of.keep("rasterio", instance=made[0])
    print(json.dumps({"cpu_s": spent}))


if __name__ == "__main__":
    main(job())
