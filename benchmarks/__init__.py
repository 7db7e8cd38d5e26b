"""Benchmarks of the whole way of a job, on real servers and real processes.

`stand` starts what is measured, each measuring module returns `Figure`s, `__main__` prints them
against their goals. The provider answers at once, so that what is left is Penstock's own cost.
"""
