"""tilewright's parcels: class, id, coverage, claims, and with the option `distances` also metres to the edge; projecting included."""

import json
import time

import numpy as np
from parcels_job import EPSG, ULX, ULY, ParcelsJob, job

from tilewright.vector.ontology_file import load_ontology
from tilewright.vector.parcels import ParcelBurner

CELL_M = 1000


def main(of: ParcelsJob) -> None:
    features, ontology = of.features, load_ontology(of.folder / "ontology.yaml")
    along = np.arange(of.side_m // CELL_M) * CELL_M
    ulx, uly = (each.ravel() for each in np.meshgrid(ULX + along, ULY - along))
    kinds = {"instance": "uint32", "coverage": "float32", "claims": "uint8", "claims_same": "uint8"}
    found = {name: np.zeros((of.side, of.side), dtype) for name, dtype in kinds.items()}
    begun = time.process_time()
    burner = ParcelBurner(ontology, features, EPSG, of.step, distances=of.option == "distances")
    for cell, arrays in burner.cells(ulx, uly, CELL_M):
        row, column = round((ULY - uly[cell]) / of.step), round((ulx[cell] - ULX) / of.step)
        for name, whole in found.items():
            part = getattr(arrays, name)
            whole[row : row + part.shape[0], column : column + part.shape[1]] = part
    spent = time.process_time() - begun
    if of.option != "distances":
        of.keep("tilewright", **found)
    print(json.dumps({"cpu_s": spent}))


if __name__ == "__main__":
    main(job())
