"""How a reader tells what it saw: one .npz of arrays, and in it a JSON text of everything else. Runs in .venv-readers."""

import argparse
import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Said = dict[str, Any]
Arrays = dict[str, np.ndarray]


def run(reader: Callable[..., tuple[Said, Arrays]]) -> None:
    """Call `reader(root, **options)` as the command line says and write what it returns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--options", type=json.loads, default={}, help="JSON")
    told = parser.parse_args()
    random.seed(0)  # some readers draw seasons by it
    _stay_offline()
    said, arrays = reader(told.root, **told.options)
    np.savez(told.output, said=np.array(json.dumps(said)), **arrays)


def _stay_offline() -> None:
    """Whatever would be fetched is an error: a reader has the export and its own package, nothing else."""

    def refuse(self: socket.socket, address: Any) -> None:
        raise OSError(f"a reader asked for {address}")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    socket.socket.connect_ex = refuse  # type: ignore[method-assign,assignment]


def define_torchvision_operators() -> None:
    """Let torchvision import beside a CPU build of torch that its own operators were not compiled for: torchgeo's datasets use none of them."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_kept"] = library  # its definitions go when it does
