"""torchgeo.datasets.SeasoNet: splits, grids and seasons of an export, one by one and concatenated."""

from pathlib import Path
from typing import Any

from telling import Arrays, Said, define_torchvision_operators, run

define_torchvision_operators()

from torchgeo.datasets import SeasoNet  # noqa: E402


def read(root: Path, views: list[dict[str, Any]]) -> tuple[Said, Arrays]:
    """For each view (arguments of the class: split, seasons, bands, grids, concat_seasons) in its place: arrays `{view}/{sample}/image` and `mask`.

    Images are float32, all bands in the class's order resampled to 120 × 120; a mask is int64, the stored number less 1 (0: 255).
    Said of each view: the sample's paths, those that may be drawn where seasons are concatenated.
    """
    said: Said = {"views": []}
    arrays: Arrays = {}
    for place, view in enumerate(views):
        dataset = SeasoNet(root=root, **view)
        paths = [list(map(str, each)) for each in dataset.files]
        said["views"].append({"len": len(dataset), "channels": dataset.channels, "paths": paths})
        for at in range(len(dataset)):
            sample = dataset[at]
            arrays[f"{place}/{at}/image"] = sample["image"].numpy()
            arrays[f"{place}/{at}/mask"] = sample["mask"].numpy()
    return said, arrays


if __name__ == "__main__":
    run(read)
