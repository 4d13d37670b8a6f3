"""How files of one source write their values: from their spelling to the one that `checks` reads.

A text that the contract's dialect does not fit stays for the column's type to judge, or is told
apart so that the type does not take it for what it would be elsewhere.
Only text is spelled: a number in JSON, Parquet or a workbook says itself what it is.
"""

import re

from boathouse.contracts import Column, Landing
from boathouse.sql import literal

_SPACE = literal(" \t\r\n\u00a0")
_NAIVE = r"\d{4}-\d{1,2}-\d{1,2}([ Tt]\d{1,2}:\d{2}(:\d{2}([.,]\d*)?)?)?"
# Microseconds in one unit of an epoch.
_EPOCH = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}


def has_numbers(landing: Landing) -> bool:
    """Return whether a contract says how numbers are written."""
    return bool(landing.decimal or landing.thousands or landing.strip)


def spelled(text: str, column: Column, landing: Landing) -> str:
    """Return SQL for a value's text as the type of its column reads it; null for no value."""
    if landing.null_values:
        listed = ", ".join(map(literal, landing.null_values))
        text = f"case when trim({text}, {_SPACE}) not in ({listed}) then {text} end"
    match column.data_type:
        case "varchar":
            return f"trim({text}, {_SPACE})" if landing.trim else text
        case "date":
            return _formatted(text, landing.date_formats)
        case "timestamp":
            return _in_utc(
                _from_epoch(_formatted(text, landing.timestamp_formats), landing), landing
            )
        case "boolean" | "json":
            return text
    return _number(text, column, landing)


def _formatted(text: str, formats: tuple[str, ...]) -> str:
    """Return SQL for what a text says in the first format that fits, as ISO text."""
    if not formats:
        return text
    parsed = []
    for each in formats:
        moment = f"try_strptime(trim({text}, {_SPACE}), {literal(each)})::timestamp::varchar"
        parsed.append(f"{moment} || '+00'" if "%z" in each.lower() else moment)
    return f"coalesce({', '.join(parsed)}, {text})"


def _from_epoch(text: str, landing: Landing) -> str:
    """Return SQL for a time that was counted from 1970, to the microsecond or not at all."""
    if landing.epoch is None:
        return text
    number = f"trim({text}, {_SPACE})"
    micros = f"(try_cast({number} as decimal(38, 9)) * {_EPOCH[landing.epoch]})"
    return (
        rf"case when regexp_full_match({number}, '-?\d{{1,19}}(\.\d{{1,9}})?') "
        f"and {micros} = floor({micros}) "
        f"then coalesce(make_timestamp(try_cast({micros} as bigint))::varchar || '+00', {text}) "
        f"else {text} end"
    )


def _in_utc(text: str, landing: Landing) -> str:
    """Return SQL for a time without an offset, of a place, as UTC.

    A time that clocks skip does not exist; of one that they show twice it is the later one.
    """
    if landing.timezone == "UTC":
        return text
    zone = literal(landing.timezone)
    local = f"try_cast(replace(upper(trim({text}, {_SPACE})), ',', '.') as timestamp)"
    there = f"timezone({zone}, {local})"
    return (
        f"case when regexp_full_match(trim({text}, {_SPACE}), '{_NAIVE}') then "
        f"case when timezone({zone}, {there}) = {local} "
        f"then timezone('UTC', {there})::varchar else {text} || ' ({landing.timezone})' end "
        f"else {text} end"
    )


def _number(text: str, column: Column, landing: Landing) -> str:
    """Return SQL for a number without its signs and groups, its point a point."""
    if not has_numbers(landing):
        return text
    number = f"trim({text}, {_SPACE})"
    if landing.strip:
        signs = "|".join(re.escape(sign) for sign in landing.strip)
        ends = rf"^([-+]?)\s*(?:{signs})\s*|\s*(?:{signs})$"
        number = f"regexp_replace({number}, {literal(ends)}, '\\1', 'g')"
    point = re.escape(landing.decimal or ".")
    whole = r"\d*"
    if landing.thousands:
        group = re.escape(landing.thousands)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d*)"
    fits = literal(rf"[-+]?{whole}(?:{point}\d*)?(?:[eE][-+]?\d+)?")
    digits = number
    if landing.thousands:
        digits = f"replace({digits}, {literal(landing.thousands)}, '')"
    if landing.decimal not in ("", "."):
        digits = f"replace({digits}, {literal(landing.decimal)}, '.')"
    if column.scale == 0 and landing.decimal:
        digits = rf"regexp_replace({digits}, '\.0+$', '')"
    said = ", ".join(
        f"{key}: {sign}"
        for key, sign in (("decimal", landing.decimal), ("thousands", landing.thousands))
        if sign
    )
    # 1.5 is no number where the decimal sign is a comma, though it is one everywhere else.
    otherwise = f"{text} || {literal(f' ({said})')}" if said else text
    return (
        f"case when trim({text}, {_SPACE}) = '' then {text} "
        rf"when regexp_full_match({number}, {fits}) and regexp_matches({number}, '\d') "
        f"then {digits} else {otherwise} end"
    )
