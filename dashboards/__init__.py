"""The dashboard: a Streamlit app over the released warehouse, and over nothing else.

Pages are in `views`, their SQL in `queries/<page>`, the SQL console's own process in `console`.
Everything here reads; only `released` opens files.
"""
