"""Data sets of facial expressions: one module per source, registered by its card's name.

``mien.data.readers`` holds the registry, ``prepare`` writes a set as Parquet, ``check`` finds its
leaks, ``split`` divides it, ``balance`` and ``augment`` serve training, ``synthetic`` draws faces.
"""
