"""Streamlit's own command line, in a process that has imported what the pages need.

Streamlit imports an app when the first person comes; that person would wait for it.
"""

import sys

import altair
import pandas
import pyarrow
from streamlit.web import cli

import dashboards.pages

IMPORTED = (altair, pandas, pyarrow, dashboards.pages)

if __name__ == "__main__":
    sys.exit(cli.main())
