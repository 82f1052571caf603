"""Explanations in words, made from their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mien.results.attribution import Attribution
from mien.wording import PLURAL, brief

#: The same for methods that hide nothing and say no more of themselves.
NOT_HIDING: Final = (
    "The numbers say how much each place speaks for the answer by the method's own rule; nothing "
    "is hidden. It is what the model used, not a cause, and not what the person feels."
)


#: What the numbers of most methods are, for people who have not read the documentation.
HIDING: Final = (
    "Evidence is in logits, the model's scores before they become probabilities: how much a part "
    "raises (+) or lowers (-) the score, compared with hiding it. It is what the model used, not "
    "a cause, and not what the person feels."
)


#: The same where the score is the probability.
HIDING_PROBABLE: Final = (
    "Evidence is in shares of 1: how much a part raises (+) or lowers (-) the calibrated "
    "probability of the answer, compared with hiding it. A probability near 0 or 1 hardly moves "
    "whatever is hidden; logits do. It is what the model used, not a cause, and not what the "
    "person feels."
)


SMALL = 0.005  # of the crop: a region that is smaller says nothing by its density


def density(explanation: Attribution) -> dict[str, float]:
    """Share of the values divided by share of the crop, for each region; 1 is neither way.

    Of absolute values; regions under half a percent of the crop are left out.
    """
    e = explanation
    whole = sum(abs(v) for v in e.regions.values())
    if whole <= 0:
        return {}
    return {n: abs(v) / whole / e.areas[n] for n, v in e.regions.items() if e.areas[n] >= SMALL}


def _shares_of_a_whole(e: Attribution) -> str:
    """The sentence for values that are shares of a whole, none of them negative."""
    p = e.prediction
    subject = f"{e.target}, {brief(p.emotions[e.target])}"
    if e.against is not None:
        subject = f"{e.target} rather than {e.against}"
    whole = sum(e.regions.values())
    if whole <= 0 or e.empty:
        return f"{subject}: no region carries {e.what}"
    dense = density(e)
    first, second, *_ = sorted(dense, key=lambda name: -dense[name])
    size, verb = ("their", "have") if first in PLURAL else ("its", "has")
    text = (
        f"{subject}: for {size} size the {first} {verb} most {e.what}, then the {second} "
        f"({first} {e.regions[first] / whole:.0%} on {e.areas[first]:.0%} of the crop, "
        f"{dense[first]:.1f} times {size} share; {second} {dense[second]:.1f} times)"
    )
    return text + ("" if e.about_target else "; the same for any expression")


def describe(explanation: Attribution) -> str:
    """One sentence: the class, its probability, the regions that made or unmade it, in words.

    The numbers stand behind, in brackets: the values of the regions that were named.
    """
    e = explanation
    if not e.signed:
        return _shares_of_a_whole(e)
    # what does not add up to a total has no shares of it
    whole = e.total if e.efficient else sum(e.regions.values())
    parts = sorted(e.regions.items(), key=lambda item: item[1], reverse=whole >= 0)
    leading = [name for name, v in parts if v * whole > 0]
    opposing = [name for name, v in reversed(parts) if v * whole < 0]
    if not leading or e.empty:
        return f"{_subject(e)}: no region carries evidence"
    first = leading[0]
    if whole < 0:
        text = f"the {first} {'speak' if first in PLURAL else 'speaks'} most against it"
    else:
        most = "mostly" if e.regions[first] >= 0.5 * whole else "above all"
        text = f"{most} the {first}"
    then = [n for n in leading[1:2] if abs(e.regions[n]) >= 0.1 * abs(whole)]
    contrary = [n for n in opposing[:1] if abs(e.regions[n]) >= 0.1 * abs(whole)]
    text += "".join(f", then the {name}" for name in then)
    against = "against it" if whole >= 0 else "for it"
    text += "".join(f"; {against} the {name}" for name in contrary)
    return f"{_subject(e)}: {text} ({_numbers(e, [first, *then, *contrary], whole)})"


def _subject(e: Attribution) -> str:
    """What is explained, with its probability."""
    p = e.prediction
    if e.against is not None:
        pair = f"{brief(p.emotions[e.target])} to {brief(p.emotions[e.against])}"
        return f"{e.target} rather than {e.against}, {pair}"
    text = f"{e.target}, {brief(p.emotions[e.target])}"
    if e.target != p.dominant_emotion and p.score is not None:
        text += f" (the answer is {p.dominant_emotion}, {brief(p.score)})"
    return text


def _steady(value: float) -> float:
    """A sum of many pixels to five digits, so that a record that was loaded says the same words.

    >>> f"{2.3499996:.1f}", f"{_steady(2.3499996):.1f}"
    ('2.3', '2.4')
    """
    return float(f"{value:.5g}")


def _numbers(e: Attribution, names: Sequence[str], whole: float) -> str:
    """The values of some regions, of all together where these add up."""
    few, least = ("+.2f", 0.1) if e.unit == "probability" else ("+.1f", 0.5)
    digits = few if abs(whole) >= least else "+.2g"
    whole, values = _steady(whole), [_steady(e.regions[name]) for name in names]
    text = ", ".join(f"{name} {v:{digits}}" for name, v in zip(names, values, strict=True))
    if e.efficient:  # a part may be larger than what is left of all of them
        inside = abs(values[0]) <= abs(whole)
        text += f" of {whole:{digits}}" if inside else f", all parts {whole:{digits}}"
    return f"{text} {e.unit}"


def paragraph(explanation: Attribution) -> str:
    """A few sentences for a reader who has not read the documentation, made from the numbers.

    What the model answers; what made the score so; which regions work together; where the
    evidence lies for its size; and how far to believe it.
    """
    e = explanation
    sentences = [_answer(e)]
    if e.empty:
        sentences.append(f"No region carries {e.what}: the crop shows nothing that changes it.")
        return " ".join(sentences)
    if e.signed and e.base is not None:
        sentences += [_shares(e), _together(e)]
    sentences += [_densest(e), _belief(e)]
    return " ".join(text for text in sentences if text)


def _answer(e: Attribution) -> str:
    (first, p), (second, q), *_ = sorted(e.prediction.emotions.items(), key=lambda i: -i[1])
    # what is hardly there is not worth a clause
    following = f", next {second} ({brief(q)})" if q >= 0.01 else ""
    text = f"The model reads {first} ({brief(p)}){following}."
    if e.against is not None:
        text += f" Asked here: why {e.target} rather than {e.against}."
    elif e.target != first:
        text += f" Asked here: what speaks for {e.target}, which it does not answer."
    return text


def _shares(e: Attribution) -> str:
    """What shows the crop, against hiding it, does to the score; and the regions' parts in it."""
    what = "probability" if e.unit == "probability" else "score"
    score = f"the {what} of {e.target}" + (f" above {e.against}" if e.against else "")
    verb = "raises" if e.total >= 0 else "lowers"
    than = e.evidence.reference or "hiding all of it"
    text = f"Compared with {than}, this face "
    digits = ".2f" if e.unit == "probability" else ".1f"
    amount = f"{_steady(abs(e.total)):{digits}}"
    by = amount if e.unit == "probability" else f"{amount} logits"
    text += f"{verb} {score} by {by}" if float(amount) else f"hardly moves {score}"
    parts = sorted(e.regions.items(), key=lambda item: -abs(item[1]))
    if not e.efficient:  # its values are no shares of that
        least = max(0.1 * sum(abs(v) for v in e.regions.values()), 1e-9)
        large = [f"{name} {v:+.2g}" for name, v in parts if abs(v) >= least]
        values = f" The largest values of this method: {', '.join(large[:4])}." if large else ""
        return f"{text}.{values}"
    least = 0.1 * max(abs(e.total), 0.5)
    large = [f"{name} {_steady(v):+{digits}}" for name, v in parts if abs(v) >= least]
    return f"{text}: {', '.join(large[:4])}." if large else f"{text}; no region does much."


def _together(e: Attribution) -> str:
    """The pair of regions that is worth most more, or less, together than apart."""
    pairs = [(v, a, b) for a, row in e.interactions.items() for b, v in row.items() if a < b]
    value, a, b = max(pairs, key=lambda pair: abs(pair[0]), default=(0.0, "", ""))
    if abs(value) < 0.1 * max(abs(e.total), 0.5):
        return ""
    # of parts that speak against, it is the other way round
    more = value * (e.regions.get(a, 0.0) + e.regions.get(b, 0.0)) > 0
    how = "each is worth more where the other is seen" if more else "they say partly the same"
    digits = ".2f" if e.unit == "probability" else ".1f"
    return f"The {a} and the {b} interact most ({value:+{digits}}): {how}."


def _densest(e: Attribution) -> str:
    dense = {n: d for n, d in density(e).items() if n != "background"}
    if not dense or not e.signed:  # where values are not signed the sentence says it
        return ""
    name = max(dense, key=lambda n: dense[n])
    whole = sum(abs(v) for v in e.regions.values())
    size, verb = ("their", "weigh") if name in PLURAL else ("its", "weighs")
    return (
        f"For {size} size the {name} {verb} most: {abs(e.regions[name]) / whole:.0%} of the "
        f"{e.what} on {e.areas[name]:.0%} of the crop."
    )


def _belief(e: Attribution) -> str:
    """How far to believe it: what the method promises, and what lies beside the face."""
    if e.efficient and e.check() <= 0.05:
        text = "The parts add up to the score, so nothing is left out"
    elif e.efficient:
        text = f"The parts miss their total by {e.check():.0%}"
    else:
        text = "The parts need not add up to the score: compare places, not sizes"
    share, area = e.background_share, e.areas.get("background", 0.0)
    return f"{text}; {share:.0%} of the {e.what} lies on the background, {area:.0%} of the crop."
