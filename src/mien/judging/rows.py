"""The rows of a comparison: each a query, under the name that tables and figures show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mien.explainers.explaining import named
from mien.explainers.method import METHODS, in_order, names, read_query
from mien.models.base import BaseModel
from mien.results.evidence import Query


def variants() -> dict[str, Query]:
    """Rows beside the methods themselves, such as the paper's algorithm beside its repair.

    >>> variants()["dncshap, printed"].options
    {'contexts': 'printed'}
    """
    return {
        f"{name}, {variant}": Query(name, options=dict(options))
        for name in names()
        for variant, options in METHODS.get(name).variants.items()
    }


def rows_for(model: BaseModel, methods: Sequence[str] | None = None) -> dict[str, Query]:
    """Queries by row: of the methods named, or of those that can be compared, and variants.

    ``["all"]`` are all that explain the model. A name may carry options, as in
    ``dncshap:levels=4,contexts=owen``; those that are not given are such that each method costs
    about as many passes. Raises UnknownNameError and InputError for names and options that do
    not exist.

    >>> from mien.models.onnx import Model
    >>> from mien.models.weights import locate
    >>> rows_for(Model(locate("mien")), ["cam", "dncshap, printed"])["cam"].method
    'cam'
    """
    extra = variants()
    if methods is None:
        # what stands for an attribution method here needs to be about the answer
        chosen = [name for name in names(model) if METHODS.get(name).judged]
        methods = [*chosen, *(row for row, query in extra.items() if query.method in chosen)]
    texts = named(model, methods)
    found = {text: extra[text] if text in extra else _equal(text) for text in texts}
    for query in found.values():
        METHODS.get(query.method).check(model, query)
    return {row: found[row] for row in in_order(found)}


def _equal(text: str) -> Query:
    """A method at the budget of all, but for the options that it carries."""
    query = read_query(text)
    return replace(query, options={**METHODS.get(query.method).budget, **query.options})


def recorded(rows: dict[str, Query]) -> dict[str, dict[str, object]]:
    """JSON-ready record of the rows: the method of each, and its options."""
    return {row: {"method": query.method, **query.options} for row, query in rows.items()}
