"""Load the small reference files of a mapping into tables keyed for joining."""

from __future__ import annotations

from pathlib import Path

from cli.compile import Table
from cli.mapping import Csv, Lookup, Mapping, MappingError
from cli.reading import BadRecord, UnreadableFile, read_records, sniff_format
from cli.values import getter

# A lookup lives in memory; this is far above any list of products or offers.
_MAX_ROWS = 1_000_000


def load_lookups(mapping: Mapping, mapping_path: Path, input_path: Path) -> list[Table]:
    """One table per lookup, in the mapping's order; raises MappingError naming lookup and line."""
    return [_load(rule, mapping_path, input_path) for rule in mapping.lookups]


def _load(rule: Lookup, mapping_path: Path, input_path: Path) -> Table:
    path = _find(rule, mapping_path, input_path)
    key_of = getter(rule.key)
    columns = [(name, getter(column)) for name, column in rule.add.items()]
    table: Table = {}
    try:
        for _, line, record in read_records(path, sniff_format(path), Csv()):
            if isinstance(record, BadRecord):
                raise MappingError(f"lookup {path}, line {line}: {record.reason}")
            key = key_of(record)
            if key is None:
                raise MappingError(f"lookup {path}, line {line}: no {rule.key}")
            row = {name: read(record) for name, read in columns}
            table[str(key)] = {name: found for name, found in row.items() if found is not None}
            if len(table) > _MAX_ROWS:
                raise MappingError(f"lookup {path}: more than {_MAX_ROWS} rows")
    except UnreadableFile as error:
        raise MappingError(f"lookup {error}") from error
    return table


def _find(rule: Lookup, mapping_path: Path, input_path: Path) -> Path:
    places = [mapping_path.parent / rule.file, input_path.parent / rule.file]
    for place in places:
        if place.is_file():
            return place
    raise MappingError(
        f"{mapping_path}: lookups: {rule.file} is found neither beside the mapping "
        f"nor beside {input_path}"
    )
