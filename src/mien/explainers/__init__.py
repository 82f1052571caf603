"""Explanations: one question, one call, every registered method.

>>> {'cam', 'dncshap', 'regions'} <= set(names())
True
"""

from __future__ import annotations

from mien.explainers.explaining import explain, queries, supported
from mien.explainers.masks import BASELINES
from mien.explainers.method import METHODS, Case, Evidence, Method, Query, method, names

__all__ = [
    "BASELINES",
    "METHODS",
    "Case",
    "Evidence",
    "Method",
    "Query",
    "explain",
    "method",
    "names",
    "queries",
    "supported",
]
