"""webdataset's own loader with its default decoders: every shard of an export."""

import json
from pathlib import Path

import numpy as np
import webdataset
from telling import Arrays, Said, run


def read(root: Path, splits: tuple[str, ...] = ("train", "val", "test")) -> tuple[Said, Arrays]:
    """Arrays `{split}/{key}/{member}` of the members that decode to arrays; said of each split: its shards, keys in order, members that are JSON."""
    said: Said = {}
    arrays: Arrays = {}
    for split in splits:
        shards = sorted(str(path) for path in (root / split).glob("*.tar"))
        said[split] = {"shards": [Path(each).name for each in shards], "keys": [], "json": {}, "other": {}}
        if not shards:
            continue
        for sample in webdataset.WebDataset(shards, shardshuffle=False).decode():
            key = sample["__key__"]
            said[split]["keys"].append(key)
            for member, value in sample.items():
                if isinstance(value, np.ndarray):
                    arrays[f"{split}/{key}/{member}"] = value
                elif isinstance(value, (dict, list)):
                    said[split]["json"].setdefault(key, {})[member] = json.loads(json.dumps(value))
                elif not member.startswith("__"):
                    said[split]["other"].setdefault(key, {})[member] = type(value).__name__
    return said, arrays


if __name__ == "__main__":
    run(read)
