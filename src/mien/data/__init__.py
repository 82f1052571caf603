"""Data sets of facial expressions: one module per source."""
