"""What is tried: one module for each side of the gateway; every function `check_NAME` is a scenario.

In: a folder of its own. Out: a figure to print, or `Failed` with what was sent and what came.
"""
