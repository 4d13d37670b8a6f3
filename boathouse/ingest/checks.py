"""The SQL that turns texts into typed values and says what is wrong with a record.

A value is strict: text that DuckDB would bend into the type (`1.5` → 2, `infinity`, a time
zone that is dropped) is a breach, not a value. Empty text is no value.
"""

from collections.abc import Mapping

from boathouse.contracts import INTEGERS, RESCUE_COLUMN, Column
from boathouse.ingest.json_text import decimals, is_json
from boathouse.ingest.records import Chunk, Value
from boathouse.sql import identifier, literal

_NAMES = {
    "bigint": "a whole number",
    "integer": "a whole number",
    "smallint": "a whole number",
    "double": "a finite number",
    "boolean": "true or false",
    "date": "a date that exists (YYYY-MM-DD)",
    "timestamp": "a time that exists (YYYY-MM-DD HH:MM:SS, with or without offset)",
    "json": "valid JSON",
}
_DATE = r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]00:00(:00(\.0+)?)?)?"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2}(\.\d*)?)?"
_SECONDS = r"\d{1,2}:\d{2}:\d{2}(\.\d*)?"
_OFFSET = r"(Z| ?UTC|[+-](0\d|1[0-5])(:?[0-5]\d)?)"
_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_SCIENTIFIC = r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}"
_LONGEST_SHOWN = 100


def typed_select(columns: list[Column], chunk: Chunk, *, has_rescue: bool) -> str:
    """Return a query over a chunk with the typed columns and `_reasons` (null when good).

    Column order: `_file_no` and `_row` when the chunk has them, the columns, the rescue column
    when asked for, `_reasons`. Names of our own start with `_`, as no column's may.
    """
    place = "" if chunk.blob is not None else "_file_no, _row, "
    texts, typed, breaches, reasons, problems = [], [], [], [], []
    for number, column in enumerate(columns):
        value = chunk.values.get(column.name, Value("null::varchar"))
        text = f"_t{number}"
        texts.append(f"nullif({value.text}, '') as {text}")
        texts.append(f"{value.is_nested or 'false'} as _n{number}")
        texts.append(f"{value.is_twice or 'false'} as _d{number}")
        if value.problem:
            texts.append(f"{value.problem} as _p{number}")
            problems.append(f"_p{number}")
        typed.append(f"{parse(text, column.data_type)} as {identifier(column.name)}")
        for breach, reason in _breaches(column, number, value):
            breaches.append(breach)
            reasons.append(f"case when {breach} then {reason} end")
    if chunk.others:
        breaches.append("(_others is not null)")
        reasons.append("_others")
    is_bad = " or ".join(breaches) or "false"
    listed = ", ".join(reasons)
    rescue = f"{chunk.extra or 'null'}::json as {RESCUE_COLUMN}, " if has_rescue else ""
    names = "".join(f"{identifier(column.name)}, " for column in columns)
    inner = [f"_t{n}, _n{n}, _d{n}" for n in range(len(columns))] + problems + typed
    rescued = f"{RESCUE_COLUMN}, " if has_rescue else ""
    return f"""
        select {place}{names}{rescued}
            case
                when _not_a_record is not null then [_not_a_record]
                when {is_bad}
                    then list_filter([{listed}]::varchar[], lambda reason: reason is not null)
            end as _reasons
        from (
            select {", ".join([f"{place}{rescued}_not_a_record, _others", *inner])}
            from (
                select {place}{rescue}
                    {chunk.not_a_record or "null::varchar"} as _not_a_record,
                    {", ".join([f"{chunk.others or 'null::varchar'} as _others", *texts])}
                from {chunk.relation}
            )
        )
    """


def parse(text: str, data_type: str) -> str:
    """Return SQL that gives a text's value in a type, or null when it is not one exactly."""
    if data_type in INTEGERS:
        value = f"try_cast({text} as {data_type})"
        # The first branch is the usual one and cheap. `1.000` is a thousand in half of Europe.
        return (
            f"case when {value}::varchar = {text} then {value} "
            rf"when regexp_full_match(trim({text}), '[+-]?\d+') "
            f"then try_cast(trim({text}) as {data_type}) end"
        )
    match data_type:
        case "varchar":
            return text
        case "double":
            value = f"try_cast({text} as double)"
            return f"case when isfinite({value}) and not contains({text}, '_') then {value} end"
        case "boolean":
            return f"try_cast(trim({text}) as boolean)"
        case "date":
            trimmed = f"upper(trim({text}))"
            return (
                f"case when regexp_full_match({text}, '{_DATE}') then try_cast({text} as date) "
                f"when regexp_full_match({trimmed}, '{_DATE}') then try_cast({trimmed} as date) end"
            )
        case "timestamp":
            # Text without an offset is UTC; the session's time zone is UTC. The first branches are
            # the usual ones and cheap; the very first would drop an offset.
            plain = f"replace(upper(trim({text})), ',', '.')"
            full = f"regexp_replace({plain}, '([ T]\\d{{1,2}}:\\d{{2}})({_OFFSET}?)$', '\\1:00\\2')"
            return (
                f"case when regexp_full_match({text}, '{_DAY}([ T]{_CLOCK})?') "
                f"then try_cast({text} as timestamp) "
                f"when regexp_full_match({text}, '{_DAY}[ T]{_SECONDS}{_OFFSET}') "
                f"then try_cast({text} as timestamptz)::timestamp "
                f"when regexp_full_match({full}, '{_DAY}([ T]{_SECONDS}{_OFFSET}?)?') "
                f"then try_cast({full} as timestamptz)::timestamp end"
            )
        case "json":
            return f"case when {is_json(text)} then {text}::json end"
    scale = int(data_type.rpartition(",")[2].strip(" )"))
    exact = rf"[+-]?\d*(\.\d{{0,{scale}}}0*)?" if scale else r"[+-]?\d+(\.0*)?"
    trimmed = f"trim({text})"
    return (
        f"case when regexp_full_match({trimmed}, '{exact}') or "
        f"regexp_full_match({trimmed}, '{_SCIENTIFIC}') and {decimals(trimmed)} <= {scale} "
        f"then try_cast({trimmed} as {data_type}) end"
    )


def _breaches(column: Column, number: int, value: Value) -> list[tuple[str, str]]:
    """Return pairs of a condition and the SQL of the reason it gives."""
    name, text = identifier(column.name), f"_t{number}"
    # NUL is no character that every catalogue can keep in a list.
    shown = f"replace(left({text}, {_LONGEST_SHOWN}), chr(0), '\\u0000')"
    pairs = []
    kind = _NAMES.get(column.data_type, f"a {column.data_type} without rounding")
    if column.data_type != "varchar":
        pairs.append(
            (
                f"({text} is not null and {name} is null)",
                f"{literal(f'{column.name} is ')} || {shown} || {literal(f', not {kind}')}",
            )
        )
    elif value.is_nested:
        pairs.append((f"_n{number}", literal(f"{column.name} is an object or array, not text")))
    if value.is_twice:
        pairs.append((f"_d{number}", literal(f"{column.name} is given more than once")))
    for rule in column.rules:
        before, _, after = rule.reason.partition("{value}")
        reason = f"{literal(before)} || {shown} || {literal(after)}" if after else literal(before)
        # A value that could not be read has said so already.
        is_text = column.data_type == "varchar"
        readable = "" if is_text else f" and ({text} is null or {name} is not null)"
        pairs.append((f"({rule.breach}{readable})", reason))
    if value.problem:
        problem = f"_p{number}"
        pairs = [(f"({problem} is null and {breach})", reason) for breach, reason in pairs]
        pairs.append((f"({problem} is not null)", problem))
    return pairs


def filename_select(columns: tuple[Column, ...], texts: Mapping[str, str | None]) -> str:
    """Return a one-row query with the typed columns of a file's name and `_reasons`."""
    values = {
        name: Value("null::varchar" if text is None else literal(text))
        for name, text in texts.items()
    }
    one_row = Chunk("(select 0 as _file_no, 0 as _row)", values)
    query = typed_select(list(columns), one_row, has_rescue=False)
    return f"select * exclude (_file_no, _row) from ({query})"
