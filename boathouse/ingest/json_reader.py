"""JSON files as chunks of records: one object a line, or one document with objects in it.

Every record keeps its own text. Fields are found by name in any spelling that comes down to
the same snake_case; which spellings there are is asked of the data, chunk by chunk.

That takes several looks at every record. Lines of flat objects, the usual case, are first read in
one look, as objects with the columns that are expected. Nobody says then which keys were passed
over; but each key of such lines is a `":` in their bytes, so where there are as many values as
keys, nothing was. Where there are not, they are read like all others.
"""

import json
import pickle
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import duckdb

from boathouse.contracts import RESERVED, Contract
from boathouse.ingest.content import PIECE, Part, RefusedFileError
from boathouse.ingest.counting import count
from boathouse.ingest.dialect import has_numbers, spelled
from boathouse.ingest.json_documents import NOTHING, InvalidError, elements
from boathouse.ingest.json_text import as_digits, as_written, is_json, prepare, without_marks
from boathouse.ingest.records import (
    Blob,
    BlobWriter,
    Chunk,
    LongLine,
    Malformed,
    Value,
    copy_to,
    line_pieces_within,
    shortened,
    too_long,
)
from boathouse.ingest.text import Shape, examine, without_mark
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import identifier, literal, literal_list, path_literal

LONGEST_TO_PATCH = 50_000  # bytes
_MOST_IN_A_TABLE = (
    50  # columns; of each, an engine's table holds a quarter of a MiB for each thread
)
_BLANK_LINES = re.compile(rb"\n(?:[ \t]*\n)+")
# The JSON functions fail on text that is no JSON. A table has each text once.
_IS_OBJECT = f"case when {is_json('doc')} then json_type(doc) = 'OBJECT' end as is_object"
_OBJECT = "case when is_object then doc end"
_NOT_AN_OBJECT = "the record is no valid JSON object"
_LENIENT = "the record has NaN, Infinity or a comma too many, and so is no valid JSON"


class JsonReader:
    """Collects the JSON files of a batch; `chunks` then says how to read them."""

    def __init__(
        self,
        opened: Lake,
        contract: Contract,
        settings: Settings,
        work: Path,
    ) -> None:
        self._lake = opened
        self._con = opened.con
        self._contract = contract
        self._settings = settings
        self._work = work
        self._blobs = BlobWriter(work, "json", settings.batch_bytes)
        self._flat_blobs = BlobWriter(work, "json-flat", settings.batch_bytes)
        self._keys: Counter[Path] = Counter()  # in each flat blob
        self._documents: list[tuple[int, int, str]] = []  # records of several lines
        self._documents_size = 0
        self._document_tables: list[str] = []
        self.malformed: list[Malformed] = []

    def add(self, file_no: int, part: Part, first_row: int, *, is_lines: bool) -> int:
        """Take in a part of a file and return how many records it has.

        Raises:
            RefusedFileError: the text is not UTF-8, or a document is not valid JSON.
        """
        shape = examine(part)
        path = self._contract.landing.records
        if not path and not _is_document(part, is_lines=is_lines):
            return self._add_lines(file_no, part, first_row, shape)
        with tempfile.SpooledTemporaryFile(PIECE, dir=str(self._work)) as kept:
            try:
                for texts in _groups(elements(part, path, self._settings.max_record_bytes)):
                    pickle.dump(texts, kept)
            except InvalidError:
                if not path and _is_mostly_lines(part):
                    return self._add_lines(file_no, part, first_row, shape)
                raise
            end = kept.tell()
            kept.seek(0)
            row = first_row
            while kept.tell() < end:
                row += self._add_texts(file_no, row, pickle.load(kept))
        return row - first_row

    def _add_texts(self, file_no: int, first_row: int, texts: list[str]) -> int:
        """Take in records of a document and return how many they are."""
        lines = "\n".join([*texts, ""])
        if "\r" not in lines and lines.count("\n") == len(texts):
            return self._add_records(file_no, first_row, lines.encode())
        row = first_row
        for has_breaks, group in groupby(texts, lambda text: "\n" in text or "\r" in text):
            some = list(group)
            if has_breaks:  # and is to keep them
                self._add_documents(file_no, row, some)
            else:
                self._add_records(file_no, row, "".join(f"{text}\n" for text in some).encode())
            row += len(some)
        return len(texts)

    def _add_documents(self, file_no: int, first_row: int, texts: list[str]) -> None:
        for row, text in enumerate(texts, first_row):
            if len(text) > self._settings.max_record_bytes:
                self._set_aside(file_no, row, text)
            else:
                prepared, _ = self._prepare(text.encode(), is_flat=False)
                self._documents.append((file_no, row, prepared.decode()))
                self._documents_size += len(text)
        if self._documents_size > 2 * PIECE:
            self._keep_documents()

    def _prepare(self, lines: bytes, *, is_flat: bool) -> tuple[bytes, bool]:
        landing = self._contract.landing
        any_point = has_numbers(landing) or bool(landing.null_values)
        return prepare(lines, is_flat=is_flat, any_point=any_point)

    def _keep_documents(self) -> None:
        """Put the records of several lines that were collected into a table of their own."""
        if not self._documents:
            return
        table = f"json_documents_{len(self._document_tables)}"
        columns = {"_file_no": "integer", "_row": "bigint", "doc": "varchar"}
        self._lake.put("json_texts", columns, self._documents)
        self._con.execute(
            f"create or replace temp table {table} as "
            f"select _file_no, _row, doc, {_IS_OBJECT} from json_texts"
        )
        self._document_tables.append(table)
        self._documents, self._documents_size = [], 0

    def _add_lines(self, file_no: int, part: Part, first_row: int, shape: Shape) -> int:
        row = first_row
        for piece in line_pieces_within(part, self._settings.max_record_bytes):
            if isinstance(piece, LongLine):
                self._set_aside(file_no, row, piece.start, piece.length)
                row += 1
                continue
            lines = piece
            # A blank last line without an end is blank all the same.
            if shape.has_blank_line or shape.has_lone_return or lines[-2:].isspace():
                lines = _BLANK_LINES.sub(b"\n", b"\n" + lines)[1:]
            row += self._add_records(file_no, row, lines)
        if row == first_row:
            raise RefusedFileError(NOTHING)
        return row - first_row

    def _add_records(self, file_no: int, first_row: int, lines: bytes) -> int:
        """Take in lines that are a record each and return how many they are."""
        row = first_row
        for run, is_too_long in _runs(lines, self._settings.max_record_bytes):
            if is_too_long:
                self._set_aside(file_no, row, run.decode("utf-8").rstrip("\n"))
                row += 1
            else:
                row += self._add_run(file_no, row, run)
        return row - first_row

    def _set_aside(self, file_no: int, row: int, text: str, length: int = 0) -> None:
        """Reject a record that is too long to be read; of its text there may be the start alone."""
        problem = too_long(length or len(text), self._settings)
        self.malformed.append(Malformed(file_no, row, problem, shortened(text, length)))

    def _add_run(self, file_no: int, first_row: int, lines: bytes) -> int:
        """Put lines into the blob that fits them and return how many they are."""
        added = count(lines, b"\n")
        is_flat = added > 0 and _are_flat(lines, added)
        lines, may_be_lenient = self._prepare(lines, is_flat=is_flat)
        if is_flat and not may_be_lenient:
            self._flat_blobs.add(file_no, first_row, lines, added)
            self._keys[self._flat_blobs.blobs[-1].path] += count(lines, b'":')
        else:
            self._blobs.add(file_no, first_row, lines, added)
        return added

    def chunks(self) -> list[Chunk]:
        """Return how to read all that was added."""
        chunks = [
            self._flat_chunk(f"json_values_{number}", blob)
            or self._lines_chunk(f"json_flat_lines_{number}", blob)
            for number, blob in enumerate(self._flat_blobs.blobs)
        ]
        chunks += [
            self._lines_chunk(f"json_lines_{number}", blob)
            for number, blob in enumerate(self._blobs.blobs)
        ]
        self._keep_documents()
        chunks += [self._chunk(table, None) for table in self._document_tables]
        return chunks

    def _flat_chunk(self, table: str, blob: Blob) -> Chunk | None:
        """Return how to read lines of flat objects; None if anything would be lost in it."""
        keys = _expected_keys(blob.path, self._contract)
        if not keys:
            return None
        columns = ", ".join(f"{literal(key)}: 'VARCHAR'" for key in keys.values())
        query = (
            f"select * from read_json({path_literal(blob.path)}, format = 'newline_delimited', "
            f"columns = {{{columns}}}, maximum_object_size = {blob.longest_line})"
        )
        relation, scratch = table, [table]
        statement = f"create or replace temp table {table} as {query}"
        if len(keys) > _MOST_IN_A_TABLE:
            path = self._work / f"{table}.parquet"
            relation, scratch = f"read_parquet({path_literal(path)})", []
            statement = copy_to(path, query, len(keys))
        try:
            self._con.execute(statement)
        except (duckdb.ProgrammingError, duckdb.DataError):
            return None
        values = {name: Value(self._text(name, identifier(key))) for name, key in keys.items()}
        counts = ", ".join(f"count({identifier(key)})" for key in keys.values())
        rows, *found = self._lake.rows(f"select count(*), {counts} from {relation}")[0]
        if rows != blob.lines or sum(found) != self._keys[blob.path]:
            for made in scratch:
                self._con.execute(f"drop table {made}")
            return None
        return Chunk(relation, values, blob=blob, scratch_tables=scratch)

    def _lines_chunk(self, table: str, blob: Blob) -> Chunk:
        self._con.execute(
            f"create or replace temp table {table} as select doc, {_IS_OBJECT} from "
            f"read_csv({path_literal(blob.path)}, auto_detect = false, header = false, "
            "delim = chr(0), quote = '', escape = '', columns = {doc: 'VARCHAR'}, "
            f"max_line_size = {blob.longest_line})"
        )
        return self._chunk(table, blob)

    def _chunk(self, table: str, blob: Blob | None) -> Chunk:
        found = self._con.execute(
            f"""
            select key, bool_or(is_doubled)
            from (
                select unnest(keys) as key, is_doubled
                from (
                    select keys, len(keys) > len(list_distinct(keys)) as is_doubled
                    from (select json_keys({_OBJECT}) as keys from {table})
                )
            )
            group by key
            order by key
            """
        ).fetchall()
        fields: dict[str, _Field] = {}
        for key, is_doubled in found:
            entry = fields.setdefault(self._contract.name_of(key), _Field())
            entry.keys.append(key)
            entry.may_be_twice |= is_doubled or len(entry.keys) > 1
        columns = {column.name for column in self._contract.file_columns}
        others = {name: entry for name, entry in fields.items() if name not in columns}
        is_rescue = self._contract.landing.new_columns == "rescue"
        read = {n: entry for n, entry in fields.items() if n in columns or not is_rescue}
        keys = [key for entry in read.values() for key in entry.keys]
        places = {key: at for at, key in enumerate(keys, 1)}
        listed = ", ".join(literal(_pointer(key)) for key in places)
        texts = f"json_extract_string(object, [{listed}])" if places else "cast([] as varchar[])"
        json_columns = {c.name for c in self._contract.columns if c.data_type == "json"}
        place = "_file_no, _row, " if blob is None else ""
        chunk = Chunk(
            f"(select *, {texts} as texts from "
            f"(select {place}doc, {_OBJECT} as object from {table}))",
            {
                name: entry.document() if name in json_columns else self._value(name, entry, places)
                for name, entry in read.items()
            },
            blob=blob,
            original=without_marks("doc") if blob is None else "",
            not_a_record=(
                "case when object is null then "
                f"case when json_valid(doc) and not {is_json('doc')} then {literal(_LENIENT)} "
                f"else {literal(_NOT_AN_OBJECT)} end end"
            ),
            scratch_tables=[table],
        )
        problems = [problem for item in others.items() if (problem := self._problem(*item))]
        if problems:
            chunk.others = f"nullif(concat_ws('; ', {', '.join(problems)}), '')"
        if others and is_rescue:
            chunk.extra = without_marks(_without(keys, others))
        return chunk

    def _value(self, name: str, entry: "_Field", places: dict[str, int]) -> Value:
        value = entry.value(places)
        return replace(value, text=self._text(name, value.text))

    def _text(self, name: str, text: str) -> str:
        """Return SQL for a column's text, numbers in it as its type reads them."""
        column, landing = self._contract.column(name), self._contract.landing
        if column.scale is not None:
            return as_digits(text, column.scale, spelled(text, column, landing))
        if column.data_type == "double":
            return as_written(text, spelled(text, column, landing))
        return spelled(as_written(text), column, landing)

    def _problem(self, name: str, entry: "_Field") -> str:
        """Return SQL for what is wrong with a field that is no column of the contract, if any."""
        mode = self._contract.landing.new_columns
        from_name = {column.name for column in self._contract.filename_columns}
        breach = entry.is_there()
        if name == "":
            reason = "it has a field without a name"
        elif mode == "reject":
            reason = f"{name} is not in the contract (new_columns: reject)"
        elif mode == "add" and (name.startswith("_") or name in {*from_name, *RESERVED}):
            reason = f"{name} cannot become a column: the name is taken"
        elif mode == "rescue" and entry.may_be_twice:
            breach, reason = entry.is_twice(), f"{name} is given more than once"
        else:
            return ""
        return f"case when {breach} then {literal(reason)} end"


@dataclass
class _Field:
    """A field of the records, under all the keys that come down to one name."""

    keys: list[str] = field(default_factory=list)
    may_be_twice: bool = False

    def json(self) -> str:
        """Return SQL for the value as JSON, null when it is missing."""
        values = [f"json_extract(object, {literal(_pointer(key))})" for key in self.keys]
        return values[0] if len(values) == 1 else f"coalesce({', '.join(values)})"

    def is_there(self) -> str:
        """Return SQL, true when the record has the field."""
        return f"list_has_any(json_keys(object), {literal_list(self.keys)})"

    def is_twice(self) -> str:
        """Return SQL, true when the record has the field more than once."""
        return (
            "len(list_filter(json_keys(object), "
            f"lambda key: list_contains({literal_list(self.keys)}, key))) > 1"
        )

    def document(self) -> Value:
        """Return the value for a column that holds JSON."""
        text = without_marks(f"{self.json()}::varchar")
        return Value(f"nullif({text}, 'null')", None, self._twice())

    def value(self, places: dict[str, int]) -> Value:
        """Return the value as text; `places` says where in `texts` each key's value is."""
        texts = [f"texts[{places[key]}]" for key in self.keys]
        text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
        # Only text that looks like an object or array is asked for its type.
        nested = " or ".join(
            f"({text}[1] in ('{{', '[') "
            f"and json_type(object, {literal(_pointer(key))}) in ('OBJECT', 'ARRAY'))"
            for key, text in zip(self.keys, texts, strict=True)
        )
        return Value(text, f"coalesce({nested}, false)", self._twice())

    def _twice(self) -> str | None:
        return self.is_twice() if self.may_be_twice else None


def _without(keys: list[str], others: dict[str, _Field]) -> str:
    """Return SQL for a record without some keys, its other ones by their names; null if none."""
    renamed = [
        f"{literal(key)}: {literal(name)}"
        for name, entry in others.items()
        for key in entry.keys
        if key != name
    ]
    pairs = "map_entries(from_json(object, '\"MAP(VARCHAR, JSON)\"'))"
    rest = f"list_filter({pairs}, lambda pair: not list_contains({literal_list(keys)}, pair.key))"
    name = f"coalesce(map {{{', '.join(renamed)}}}[pair.key], pair.key)" if renamed else "pair.key"
    value = "coalesce(pair.value::varchar, 'null')"
    texts = f"list_transform({rest}, lambda pair: to_json({name}) || ':' || {value})"
    built = f"'{{' || array_to_string({texts}, ',') || '}}'"
    if not renamed:
        # Four times as fast (RFC 7396: null takes a key away), but it ends the process when a
        # record is nested some 100,000 deep.
        patch = json.dumps(dict.fromkeys(keys), ensure_ascii=False)
        patched = f"json_merge_patch(object, {literal(patch)})::varchar"
        built = f"case when strlen(object) < {LONGEST_TO_PATCH} then {patched} else {built} end"
    return f"nullif({built}, '{{}}')"


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _are_flat(lines: bytes, number: int) -> bool:
    """Return whether each line may be an object without others in it, its keys ending in `":`."""
    return (
        b"[" not in lines
        and b"\t" not in lines
        and (b" " not in lines or b" :" not in lines)
        and count(lines, b"{") == number
    )


def _expected_keys(blob: Path, contract: Contract) -> dict[str, str]:
    """Return the key of each column that is text: as the first record spells it, or its name."""
    with blob.open("rb") as file:
        first = file.readline()
    is_object = first.lstrip().startswith(b"{") and _is_json(first)
    spelled = {contract.name_of(key): key for key in json.loads(first)} if is_object else {}
    return {
        column.name: spelled.get(column.name, column.header or column.name)
        for column in contract.file_columns
        if column.data_type != "json"
    }


def _is_document(part: Part, *, is_lines: bool) -> bool:
    """Return whether the text is one document rather than an object on each line."""
    start = without_mark(next(part.pieces(), b"")).lstrip()
    if start.startswith(b"[") or is_lines:
        return start.startswith(b"[")
    return not _is_json(start.replace(b"\r", b"\n").partition(b"\n")[0])


def _is_mostly_lines(part: Part) -> bool:
    """Return whether most lines are objects of their own: then only the others are broken."""
    all_of_them = objects = 0
    for piece in line_pieces_within(part, LONGEST_TO_PATCH):
        lines = [] if isinstance(piece, LongLine) else piece.split(b"\n")
        all_of_them += sum(bool(line.strip()) for line in lines)
        objects += sum(line.startswith(b"{") and _is_json(line) for line in lines)
    return 2 * objects > all_of_them


def _groups(texts: Iterator[str]) -> Iterator[list[str]]:
    """Yield texts in lists of a few megabytes."""
    group: list[str] = []
    size = 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size > PIECE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _is_json(text: str | bytes) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        return False
    except RecursionError:
        pass  # DuckDB may know better
    return True


def _runs(lines: bytes, limit: int) -> Iterator[tuple[bytes, bool]]:
    """Yield runs of whole lines up to a length, and each longer line by itself, marked so."""
    if len(lines) <= limit:
        yield lines, False
        return
    kept: list[bytes] = []
    for line in lines.splitlines(keepends=True):
        if len(line) <= limit:
            kept.append(line)
            continue
        yield b"".join(kept), False
        kept = []
        yield line, True
    yield b"".join(kept), False
