"""Excel workbooks (ECMA-376) as rows of texts, read as a stream; contracts are not known here.

`package` opens a workbook and its parts, `cells` reads a sheet; `markup`, `strings` and `numbers`
know XML, texts, and numbers and times.
"""
