"""How the arrays of tilewright and rasterio agree with exactextract's, over all pixels."""

import json

import numpy as np
from parcels_job import ParcelsJob, job


def main(of: ParcelsJob) -> None:
    ours = {name: of.kept("tilewright", name) for name in ("instance", "coverage", "claims", "claims_same")}
    truth = {name: of.kept("exactextract", name) for name in ours}
    found: dict[str, float] = {"pixels": truth["instance"].size}
    for name in ("claims", "claims_same"):
        for mark, what in ((1, "partly"), (2, "wholly")):
            mine, theirs = ours[name] >= mark, truth[name] >= mark
            found[f"{name} {what}: marked"] = float(theirs.mean())
            found[f"{name} {what}: agree"] = float((mine == theirs).mean())
            found[f"{name} {what}: false"] = int((mine & ~theirs).sum())
            found[f"{name} {what}: lacking"] = int((theirs & ~mine).sum())
    found["same parcel"] = float((ours["instance"] == truth["instance"]).mean())
    found["coverage: largest difference"] = float(np.abs(ours["coverage"] - truth["coverage"]).max())
    found["last wins: same parcel"] = float((of.kept("rasterio", "instance") == truth["instance"]).mean())
    print(json.dumps(found))


if __name__ == "__main__":
    main(job())
