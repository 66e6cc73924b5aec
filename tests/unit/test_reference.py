"""The documents that are made from the code say what the code says."""

import json
from pathlib import Path

import yaml

from tilewright.config.load import load_config, load_providers, ontology_path
from tilewright.config.reference import provider_schema, reference
from tilewright.vector.ontology import Ontology


def test_the_config_reference_is_fresh(root: Path):
    assert (root / "config/README.md").read_text() == reference(Ontology), "stale: run make reference"


def test_the_default_and_every_recipe_are_whole_configs(root: Path):
    for path in [root / "config/config.yaml", *sorted((root / "config/recipes").glob("*.yaml"))]:
        config = load_config(yaml.safe_load(path.read_text()))
        load_providers(config, root)
        for labels in config.labels.values():
            ontology_path(labels.ontology, root)


def test_the_default_runs_offline(root: Path):
    config = load_config(yaml.safe_load((root / "config/config.yaml").read_text()))
    assert load_providers(config, root)["s2_l2a"].kind == "local"


def test_the_schema_of_providers_is_fresh_and_fits_every_file(root: Path):
    import jsonschema

    schema = json.loads((root / "config/providers/schema.json").read_text())
    assert schema == provider_schema(), "stale: run make reference"
    files = sorted((root / "config/providers").glob("*.yaml"))
    assert len(files) > 1
    for path in files:
        jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_every_provider_is_whole(root: Path):
    for path in sorted((root / "config/providers").glob("*.yaml")):
        mapping = yaml.safe_load((root / "config/config.yaml").read_text()) | {"provider": path.stem}
        assert load_providers(load_config(mapping), root)["s2_l2a"].collections, path
