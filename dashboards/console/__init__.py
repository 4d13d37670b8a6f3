"""Ad-hoc SQL of people nobody knows: checked, then run in a process of its own with limits.

`guard` says which statements may run at all, `child` is the process, `runner` starts and ends it.
"""
