"""The HTTP API over the released warehouse: look-ups of sessions, and every public mart."""
