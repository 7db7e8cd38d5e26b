"""`penstock demo`: the whole stack at work for a few seconds, and what came of it.

work.py     the jobs, submitted and awaited; what came back
figures.py  pure: accuracy, speed and latencies of what came back
show.py     progress while it runs, tables at the end; or JSON
command.py  the stack in a folder of its own, the work on it, and the end
"""
