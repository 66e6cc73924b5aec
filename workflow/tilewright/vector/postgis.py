"""A layer of a PostGIS database, copied to a GeoPackage by GDAL's ogr2ogr: the GDAL in pyogrio's wheels has no PostgreSQL.

Where pyogrio's GDAL has it (conda), ogr2ogr is there as well: so there is one way.
"""

import csv
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tilewright.errors import TilewrightError
from tilewright.vector.tables import OgrLayer, Rows, mixed_crs, shown

_LAYERS = """SELECT f_table_schema, f_table_name, f_geometry_column FROM geometry_columns UNION ALL
SELECT f_table_schema, f_table_name, f_geography_column FROM geography_columns ORDER BY 1, 2, 3"""


class PostgisTable:
    """A table or view with geometry. The order of its rows is that of their content, since a database has none."""

    def __init__(self, path: str, layer: str | None, workdir: Path | None) -> None:
        """`path`: 'PG:…' as GDAL takes it; `layer`: [schema.]table[(column)]; `workdir`: where the copy may be, for a while.

        Raises:
            TilewrightError: where ogr2ogr is not installed, the database cannot be asked, or `layer` is not the name of one.
        """
        self._path, self._workdir = path, workdir
        self._name = shown(path)
        if shutil.which("ogr2ogr") is None or "PostgreSQL" not in self._run(["--formats"]):
            raise TilewrightError(
                f"labels: {self._name}: reading PostGIS needs the command ogr2ogr with PostgreSQL: install gdal-bin (Debian, "
                "Ubuntu) or libgdal-pg (conda), or export the layer to a GeoPackage and read that"
            )
        schema, table, self._column = self._chosen(layer)
        self._table = f"{_quoted(schema)}.{_quoted(table)}"
        literal = self._table.replace("'", "''")
        self.fields = [
            row["attname"]
            for row in self._ask(
                f"SELECT attname FROM pg_attribute WHERE attrelid = '{literal}'::regclass AND attnum > 0 AND NOT attisdropped "
                "AND atttypid NOT IN (SELECT oid FROM pg_type WHERE typname IN ('geometry', 'geography')) ORDER BY attnum"
            )
        ]
        srids = {
            int(row["srid"])
            for row in self._ask(
                f"SELECT DISTINCT ST_SRID({_quoted(self._column)}::geometry) AS srid FROM {self._table} "
                f"WHERE {_quoted(self._column)} IS NOT NULL"
            )
        }
        if len(srids) > 1:
            raise mixed_crs(path, table, srids)
        self.crs: Any = self._crs(srids.pop()) if srids else None

    def _crs(self, srid: int) -> str | None:
        if srid == 0:
            return None
        known = self._ask(f"SELECT auth_name, auth_srid, srtext FROM spatial_ref_sys WHERE srid = {srid}")
        if not known:
            return None
        row = known[0]
        return f"{row['auth_name']}:{row['auth_srid']}" if row["auth_name"] == "EPSG" else row["srtext"]

    def _chosen(self, layer: str | None) -> tuple[str, str, str]:
        every = [(row["f_table_schema"], row["f_table_name"], row["f_geometry_column"]) for row in self._ask(_LAYERS)]
        names = [f"{schema}.{table}({column})" for schema, table, column in every]
        wanted = [
            each for each, whole in zip(every, names, strict=True)
            if layer in (None, each[1], f"{each[0]}.{each[1]}", f"{each[1]}({each[2]})", whole)
        ]  # fmt: skip
        if len(wanted) == 1:
            return wanted[0]
        if not names:
            raise TilewrightError(f"labels: {self._name}: has no table with geometry that this user may read")
        what = (
            "has several layers"
            if layer is None
            else f"layer {layer!r} is {'none' if not wanted else 'several'} of its layers"
        )
        raise TilewrightError(
            f"labels: {self._name}: {what}, {', '.join(names)}: name one with labels.<set>.source.layer"
        )

    def rows(self, wanted: Sequence[str]) -> Iterator[Rows]:
        """See `tables.Table`."""
        columns = [*map(_quoted, wanted), _quoted(self._column)]
        # Text in the order of its bytes, whatever the server's language is.
        order = [f'({each})::text COLLATE "C"' for each in columns[:-1]] + [f"ST_AsBinary({columns[-1]})"]
        with tempfile.TemporaryDirectory(dir=self._workdir, prefix="postgis-") as folder:
            copy = Path(folder) / "copy.gpkg"
            self._run([
                "-f", "GPKG", str(copy), self._path, "-nln", "rows", "-nlt", "GEOMETRY", "-lco", "SPATIAL_INDEX=NO",
                "-lco", "FID=tilewright_fid", "-lco", "GEOMETRY_NAME=tilewright_geometry",
                "-sql", f"SELECT {', '.join(columns)} FROM {self._table} ORDER BY {', '.join(order)}",
            ])  # fmt: skip
            yield from OgrLayer(str(copy), "rows").rows(wanted)

    def _ask(self, sql: str) -> list[dict[str, str]]:
        """Rows that a query without geometry answers."""
        return list(csv.DictReader(self._run(["-f", "CSV", "/vsistdout/", self._path, "-sql", sql]).splitlines()))

    def _run(self, arguments: list[str]) -> str:
        settings = {"PGCONNECT_TIMEOUT": "30", **os.environ}
        done = subprocess.run(["ogr2ogr", *arguments], capture_output=True, text=True, env=settings, check=False)
        if done.returncode or "ERROR" in done.stderr:
            words = " ".join(done.stderr.split("with the following drivers")[0].split())
            if secret := os.environ.get("PGPASSWORD"):
                words = words.replace(secret, "…")
            raise TilewrightError(
                f"labels: {self._name}: ogr2ogr fails ({shown(words)[:600]}); see that the database answers and that the user "
                "may read it, or mend labels.<set>.source"
            )
        return done.stdout


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
