"""A stage's version is raised when its code changes: the hash of its modules is kept beside the version.

When this fails: if the stage's outputs mean something else now, raise its number in STAGE_VERSIONS, so that Snakemake
runs it again; then `python tests/unit/test_versions.py` writes the new hashes.
"""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from tilewright.config.settings import STAGE_VERSIONS

PACKAGE = Path(__file__).resolve().parents[2] / "workflow" / "tilewright"
KEPT = Path(__file__).with_name("stage_hashes.json")
ENTRY = {
    "simulate": "simulate/__init__.py", "report": "report/__init__.py", "legend": "vector/legend.py",
    "export_tile": "exports/tile.py", "export": "exports/whole.py",
}  # fmt: skip


@cache
def imports_of(path: Path) -> frozenset[Path]:
    """Modules of the package that one imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.startswith("tilewright."):
                base = PACKAGE.joinpath(*name.split(".")[1:])
                found |= {each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()}
    return frozenset(found)


def modules_of(entry: Path) -> set[Path]:
    """Modules of the package that `entry` imports, and that these import; itself included."""
    found: set[Path] = set()
    todo = [entry]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += imports_of(path)
    return found


@cache
def meaning_of(path: Path) -> bytes:
    """A module's code: comments, docstrings and layout do not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            first.value.value = ""
    # the numbers themselves are not the code that they guard
    tree.body = [node for node in tree.body if "STAGE_VERSIONS" not in ast.dump(node)]
    return f"{path.relative_to(PACKAGE)} {ast.dump(tree)}".encode()


def stage_hash(stage: str) -> str:
    """Of the meaning of the code of all its modules, and of its templates."""
    digest = hashlib.sha256()
    for path in sorted(modules_of(PACKAGE / ENTRY.get(stage, f"stages/{stage}.py"))):
        digest.update(meaning_of(path))
    for template in sorted((PACKAGE / ENTRY.get(stage, "stages/none")).parent.glob("*.j2")):
        digest.update(template.read_bytes())
    return digest.hexdigest()[:16]


def current() -> dict[str, dict[str, object]]:
    return {stage: {"version": number, "hash": stage_hash(stage)} for stage, number in sorted(STAGE_VERSIONS.items())}


def test_every_change_of_a_stage_was_looked_at():
    kept = json.loads(KEPT.read_text())
    changed = [stage for stage, now in current().items() if kept.get(stage) != now]
    assert not changed, (
        f"the code of {', '.join(changed)} changed: raise STAGE_VERSIONS where outputs mean something else now, "
        "then run python tests/unit/test_versions.py"
    )


def test_every_stage_has_a_version():
    stages = {path.stem for path in (PACKAGE / "stages").glob("[a-z]*.py")} | set(ENTRY)
    assert stages == set(STAGE_VERSIONS)


if __name__ == "__main__":
    KEPT.write_text(json.dumps(current(), indent=1) + "\n")
