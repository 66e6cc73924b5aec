"""DeepSatData's pickles as DeepSatModels takes them: lists of relative paths, bands by resolution × 1e-4, days as shares of a year.

Written from a description of these conventions, knowing nothing of who wrote the pickles.
"""

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from telling import Arrays, Said, run

STACKS = {
    "x10": ["B04", "B03", "B02", "B08"], "x20": ["B05", "B06", "B07", "B8A", "B11", "B12"], "x60": ["B01", "B09", "B10"],
}  # fmt: skip
SCALE = 1e-4
YEAR_DAYS = 365.0001
TRUTH = ("labels", "ids", "masks", "ratios", "distances", "full_ass", "part_ass")


def read(
    root: Path, lists: tuple[str, ...] = ("train_paths.csv", "eval_paths.csv", "test_paths.csv")
) -> tuple[Said, Arrays]:
    """Arrays `{list}/{sample}/{x10|x20|x60|day|labels|…}`: stacks (time, band, y, x) float32; bands that are not there are left out.

    Said of each list: its paths; of each sample: dtype and shape of everything in the pickle.
    """
    said: Said = {}
    arrays: Arrays = {}
    for name in lists:
        path = root / "paths" / name
        paths = [row[0] for row in csv.reader(path.open(newline=""))] if path.is_file() else []
        said[name] = {"paths": paths, "samples": []}
        for at, relative in enumerate(paths):
            with (root / relative).open("rb") as file:
                sample: dict[str, Any] = pickle.load(file)
            said[name]["samples"].append(
                {key: [str(np.asarray(value).dtype), list(np.shape(value))] for key, value in sample.items()}
            )
            for stack, bands in STACKS.items():
                held = [sample[band] for band in bands if band in sample]
                if held:
                    arrays[f"{name}/{at}/{stack}"] = np.stack(held, axis=1).astype(np.float32) * np.float32(SCALE)
            arrays[f"{name}/{at}/day"] = np.asarray(sample["doy"]).astype(np.float64) / YEAR_DAYS
            arrays[f"{name}/{at}/year"] = np.asarray(sample["year"])
            arrays |= {f"{name}/{at}/{key}": np.asarray(sample[key]) for key in TRUTH if key in sample}
    index = root / "saved_timeseries_data_info.csv"
    said["index"] = list(csv.DictReader(index.open(newline=""))) if index.is_file() else []
    return said, arrays


if __name__ == "__main__":
    run(read)
