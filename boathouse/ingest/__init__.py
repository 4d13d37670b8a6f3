"""From files in landing to rows in `raw`: the only way data gets into the lake.

A batch of files goes through four steps, a module or two each:

1. `deliveries` finds the files that wait, and leaves alone those still being written; `batch` has
   `reading` do the next two steps, in a process of its own (`apart`);
2. `content` unpacks a file, `text` makes sure that it is text; `csv_reader`, `json_reader` and
   `table_reader` turn files into chunks of records, many small files into one chunk;
3. `checks` writes the SQL that types every record and finds what breaks the contract, `parser`
   runs it;
4. `loader` has rows, rejects and ledger committed in one transaction, then moves the originals.

`quarantine` does the last three again for what was rejected.
"""
