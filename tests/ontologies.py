"""Ontologies to test with: that of OpenSentinelMap as it is written, and small ones made up."""

from pathlib import Path

import yaml

ONTOLOGIES = Path(__file__).parents[1] / "config" / "ontologies"
WRITTEN = yaml.safe_load((ONTOLOGIES / "opensentinelmap.yaml").read_text())


def one(name: str, channel: str, value: int, **more: object) -> dict:
    """A category; its rules are about its own name."""
    plain = {"name": name, "channel": channel, "value": value, "precedence": value, "colour": "#000000"}
    return {**plain, "rules": [{"attributes": {"class": name}}], **more}


def of(*categories: dict, **more: object) -> dict:
    """An ontology of attributes, with the channels that its categories name."""
    channels = [{"name": name} for name in dict.fromkeys(each["channel"] for each in categories)]
    return {"name": "mine", "version": 1, "channels": channels, "categories": list(categories), **more}
