"""Data sets of facial expressions: what a set is, and what is done with it.

``mien.data.sets`` holds them, ``prepare`` writes a set as Parquet, ``check`` finds its
leaks, ``split`` divides it, ``balance`` and ``augment`` serve training, ``synthetic`` draws faces.
"""
