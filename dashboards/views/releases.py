"""Releases: which there are, and what changed between two: rows per mart, schema, tests."""

import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Release
from dashboards.show import figure, figures, nothing, table
from dashboards.text import number


def show(view: View) -> None:
    """Draw the page."""
    kept = view.warehouse.kept_ids()
    current = view.release.release_id
    listed = view.query("releases").with_columns(
        is_current=pl.col("release_id") == current, is_kept=pl.col("release_id").is_in(kept)
    )
    table(
        "Releases",
        listed,
        "As this release knows them. A kept one can be put back with `boathouse rollback`.",
    )
    if len(kept) < 2:
        nothing("To compare, there must be two releases that are kept; there is one so far.")
        return
    with filters.row():
        newer = filters.one("Compare", "newer", [str(each) for each in kept])
        others = [str(each) for each in kept if str(each) != newer]
        older = filters.one("with", "older", others)
    if newer and older:
        _compare(view.warehouse.kept(int(older)), view.warehouse.kept(int(newer)))


def _compare(older: Release, newer: Release) -> None:
    marts = compare_marts(older.query("releases/contents"), newer.query("releases/contents"))
    tests = compare_tests(older.query("releases/tests"), newer.query("releases/tests"))
    schema = compare_columns(older.query("releases/contents"), newer.query("releases/contents"))
    names = f"release {older.release_id} → {newer.release_id}"
    changed = marts.filter(pl.col("change_in_rows") != 0)
    figures(
        [
            ("Marts with other row counts", number(changed.height), names),
            ("Changes of schema", number(schema.height), ""),
            ("Tests with other results", number(tests.height), ""),
        ]
    )
    figure(
        "Change in rows per mart",
        changed,
        charts.bars(changed, "change_in_rows", "mart", limit=40),
        names,
    )
    table("Rows per mart", marts, names, height=320)
    table("Schema", schema, names) if not schema.is_empty() else _same("Schema", "columns")
    table("Tests", tests, names) if not tests.is_empty() else _same("Tests", "results")


def _same(title: str, what: str) -> None:
    with st.container(border=True):
        st.markdown(f"**{title}**")
        nothing(f"Both have the same {what}.")


def compare_marts(older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of every mart in both, and the difference, largest first."""
    both = _rows(older, "before").join(_rows(newer, "after"), on="mart", how="full", coalesce=True)
    return (
        both.with_columns(
            change_in_rows=pl.col("after").fill_null(0) - pl.col("before").fill_null(0),
            presence=pl.when(pl.col("before").is_null())
            .then(pl.lit("new"))
            .when(pl.col("after").is_null())
            .then(pl.lit("gone"))
            .otherwise(pl.lit("in both")),
        )
        .sort(pl.col("change_in_rows").abs(), "mart", descending=[True, False])
        .select("mart", "before", "after", "change_in_rows", "presence")
    )


def _rows(contents: pl.DataFrame, name: str) -> pl.DataFrame:
    tables = contents.filter(pl.col("definition").is_null())
    return tables.select(mart="name", **{name: "row_count"})


def compare_columns(older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
    """Return the columns that are new, gone or of another type, and macros that changed."""
    both = _columns(older, "before").join(
        _columns(newer, "after"), on=["mart", "column"], how="full", coalesce=True
    )
    return both.filter(pl.col("before").ne_missing(pl.col("after"))).sort("mart", "column")


def _columns(contents: pl.DataFrame, name: str) -> pl.DataFrame:
    columns = contents.select("name", pl.col("columns").alias("text")).explode("text").drop_nulls()
    parts = pl.col("text").str.splitn(" ", 2)
    described = columns.select(
        mart="name",
        column=parts.struct.field("field_0"),
        **{name: parts.struct.field("field_1")},
    )
    macros = contents.filter(pl.col("definition").is_not_null()).select(
        mart="name", column=pl.lit("(macro)"), **{name: "definition"}
    )
    return pl.concat([described, macros])


def compare_tests(older: pl.DataFrame, newer: pl.DataFrame) -> pl.DataFrame:
    """Return the tests that are new, gone, or came out otherwise."""
    before = older.select("unique_id", test="name", before="status", failures_before="failures")
    after = newer.select("unique_id", test="name", after="status", failures_after="failures")
    both = before.join(after, on=["unique_id", "test"], how="full", coalesce=True)
    differs = pl.col("before").ne_missing(pl.col("after")) | pl.col("failures_before").ne_missing(
        pl.col("failures_after")
    )
    return both.filter(differs).drop("unique_id").sort("test")
