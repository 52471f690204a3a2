"""A report on a policy as one page that needs nothing else: HTML with its charts within."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 66rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733 }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #ccd }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #e3e8ee; vertical-align: top }
th:first-child, td:first-child { text-align: left } tr.agent { background: #eef5ff; font-weight: 600 }
.warning { background: #fff1e8; border-left: 4px solid #c2410c; padding: .6rem 1rem; margin: 1rem 0 }
.said { font-size: 1.1rem } .dim { color: #6a7683; font-weight: 400 } td .dim { white-space: nowrap }
img { max-width: 100% }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
pre { white-space: pre-wrap; background: #f5f7f9; padding: 1rem; font-size: 12.5px }
"""
NOT_FOR_CLINICAL_USE = (
    "Not for clinical use. This policy was trained and judged in a simulation. Nothing here says "
    "what it would do to a "
    "patient."
)
LONGEST_NAME = 28
COLORS = ("#2563eb", "#c2410c", "#64748b")


def page(told: dict[str, Any], charts: dict[str, list[dict[str, Any]]]) -> str:
    """HTML of what a report tells, with the charts of single patients, PNG.

    `told` is what scripts/report_policy.py writes as JSON; a section that it lacks is left out."""
    agent = told["agent"]
    parts = [
        f"<h1>{escape(told['env'])}: {escape(agent)} beside clinicians</h1>",
        f"<p class=dim>{escape(', '.join(told['runs']))}, {escape(told['checkpoint'])}; "
        f"cohort {escape(told['cohort'])}; {told['patients']} patients, the same for all; "
        f"trainings: {len(told['runs'])}</p>",
        f"<div class=warning>{NOT_FOR_CLINICAL_USE}</div>",
        f"<p class=said>{escape(verdict(told))}</p>",
        "<h2>What it does for patients</h2>",
        "<p>Means with 95 % bootstrap intervals. The last column compares the same patients under "
        "both policies.</p>",
        policies_table(told["policies"], agent),
        intervals({name: one["return"] for name, one in told["policies"].items()}, agent),
        "<h2>How it doses</h2>",
        "<p>Shares of what each policy asks for. Where an environment replaces what is not allowed "
        "in a patient's state, as sepsis-icu does, the measures above are of what was given.</p>",
        *(bars(one) for one in told["doses"]),
        "<h2>Under other conditions</h2>",
        "<p>The same policy, not trained again. Return with its 95 % interval.</p>",
        conditions_table(told["conditions"]),
        "<h2>Where it goes wrong</h2>",
        "<p>Of single patients: the lowest returns, and where it differed most from usual "
        "care.</p>",
        *(trajectory(kind, one) for kind, ones in charts.items() for one in ones),
    ]
    if "off_policy" in told:
        parts += ["<h2>By what others were logged to do</h2>", off_policy(told["off_policy"])]
    parts += ["<h2>Model card</h2>", card(told["card"])]
    body = "\n".join(parts)
    return (
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport "
        "content='width=device-width'>\n"
        f"<title>{escape(told['env'])}: a policy's report</title><style>{STYLE}</style>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def verdict(told: dict[str, Any]) -> str:
    """The one sentence that the figures allow."""
    usual = told["usual_care"]
    above = told["policies"][usual]["agent_is_above_by"]
    low, high = above["ci95"]
    size = f"{above['mean']:+.3g} ({low:+.3g} to {high:+.3g})"
    if low > 0:
        return f"Its return is above that of {usual} by {size}."
    if high < 0:
        return f"Its return is below that of {usual}: {size}."
    return f"Its return cannot be told from that of {usual}: {size}."


def number(one: dict[str, Any]) -> str:
    """A summary as an HTML cell: the mean and below it the 95 % interval, or `none`."""
    if one["mean"] is None:
        return "<span class=dim>none</span>"
    low, high = one["ci95"]
    return f"{one['mean']:.4g}<br><span class=dim>{low:.3g} to {high:.3g}</span>"


def table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Rows of HTML cells, each with the class of its row."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr class='{kind}'>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for kind, cells in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def policies_table(policies: dict[str, Any], agent: str) -> str:
    """HTML table of each policy's return, metrics and costs, the highest return first."""
    metrics = list(policies[agent]["metrics"])
    head = [
        "policy",
        "return",
        *(metric.replace("_", " ") for metric in metrics),
        "cost",
        "with cost",
        "agent above by",
    ]
    rows = []
    for name, one in sorted(policies.items(), key=lambda item: -item[1]["return"]["mean"]):
        cells = [
            one["return"],
            *(one["metrics"][metric] for metric in metrics),
            one["cost"],
            one["episodes_with_cost"],
        ]
        above = "" if name == agent else number(one["agent_is_above_by"])
        rows.append(("agent" if name == agent else "", [escape(name), *map(number, cells), above]))
    return table(head, rows)


def conditions_table(conditions: dict[str, dict[str, Any]]) -> str:
    """HTML table of returns: a row for each condition, a column for each policy."""
    names = list(next(iter(conditions.values())))
    rows = [
        ("", [escape(what), *(number(by[name]) for name in names)])
        for what, by in conditions.items()
    ]
    return table(["condition", *names], rows)


def intervals(summaries: dict[str, dict[str, Any]], agent: str) -> str:
    """Each mean as a dot on its interval, as SVG."""
    ends = [bound for one in summaries.values() for bound in one["ci95"]]
    low = min(ends)
    high = max(ends)
    span = high - low or 1.0
    ordered = sorted(summaries.items(), key=lambda item: -item[1]["mean"])

    def across(value: float) -> float:
        return 190 + 430 * (value - low) / span

    marks = []
    for row, (name, one) in enumerate(ordered):
        y = 20 + 22 * row
        color = COLORS[0] if name == agent else COLORS[2]
        a, b = map(across, one["ci95"])
        marks += [
            f"<text x=180 y={y + 4} text-anchor=end fill={color!r}>{escape(short(name))}"
            f"<title>{escape(name)}</title></text>",
            f"<line x1={a:.1f} x2={b:.1f} y1={y} y2={y} stroke={color!r} stroke-width=3 />",
            f"<circle cx={across(one['mean']):.1f} cy={y} r=4.5 fill={color!r} />",
        ]
    bottom = 30 + 22 * len(ordered)
    marks.append(f"<text x=190 y={bottom} fill=#6a7683>{low:.4g}</text>")
    marks.append(f"<text x=620 y={bottom} text-anchor=end fill=#6a7683>{high:.4g}</text>")
    return f"<svg viewBox='0 0 640 {bottom + 10}' width=640 font-size=12>{''.join(marks)}</svg>"


def short(name: str) -> str:
    """What fits beside a chart."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def bars(one: dict[str, Any]) -> str:
    """Shares by label, the policies side by side, as SVG."""
    labels = one["labels"]
    shares = one["shares"]
    most = max(max(values) for values in shares.values()) or 1.0
    slot = 594 / len(labels)
    width = slot * 0.8 / len(shares)
    marks = []
    for which, (name, values) in enumerate(shares.items()):
        color = COLORS[which % len(COLORS)]
        marks.append(f"<rect x={36 + 200 * which} y=4 width=11 height=11 fill={color!r} />")
        marks.append(f"<text x={52 + 200 * which} y=14>{escape(name)}</text>")
        for column, share in enumerate(values):
            tall = 130 * share / most
            x = 36 + slot * column + width * which
            marks.append(
                f"<rect x={x:.1f} y={155 - tall:.1f} width={width:.1f} height={tall:.1f} "
                f"fill={color!r} />"
            )
    every = max(1, len(labels) // 13)
    for column in range(0, len(labels), every):
        marks.append(
            f"<text x={36 + slot * column:.1f} y=170 fill=#6a7683>{escape(labels[column])}</text>"
        )
    marks.append(f"<text x=0 y=30 fill=#6a7683>{most:.0%}</text>")
    title = f"<text x=630 y=185 text-anchor=end fill=#6a7683>{escape(one['title'])}</text>"
    return f"<svg viewBox='0 0 640 190' width=640 font-size=11>{''.join(marks)}{title}</svg>"


def trajectory(kind: str, one: dict[str, Any]) -> str:
    """HTML figure of one patient's chart; its caption says of which `kind` it is, `worst` or
    `divergent`."""
    picture = base64.b64encode(one["chart"]).decode()
    said = (
        f"{kind}: seed {one['seed']}, return {one['return']:.4g}, cost {one['cost']:.3g}, "
        f"{one['steps']} steps, "
        f"{one['divergence']:.0%} other than usual care"
    )
    image = f"<img alt='{escape(said)}' src='data:image/png;base64,{picture}'>"
    return f"<figure><figcaption>{escape(said)}</figcaption>{image}</figure>"


def off_policy(told: dict[str, Any]) -> str:
    """Estimates of the value from logged episodes beside what playing showed, and whether to
    believe them."""
    rows = {"what was logged": told["logged"]} | told["estimates"]

    def figures(one: dict[str, Any]) -> list[str]:
        if None in one.values():
            return ["none", ""]
        return [f"{one['value']:.4g}", f"{one['low']:.4g} to {one['high']:.4g}"]

    cells = [("", [escape(name), *figures(one)]) for name, one in rows.items()]
    cells.append(("agent", ["played, in the simulation", f"{told['played']:.4g}", ""]))
    calibrated = told["calibration"]
    weights = told["weights"]
    effective = (
        f"Effective sample size {told['effective_sample_size']:,.1f} of {told['episodes']:,} "
        "episodes, mean weight "
        f"{told['mean_weight']:.2f}."
    )
    said = (
        f"Not to be believed. {told['refusal']}"
        if told["refusal"]
        else f"{effective} They bear an estimate."
    )
    behavior = (
        f"Behavior policy: {told['behavior']}; calibration error "
        f"{calibrated['expected_error']:.4f}, Brier score "
        f"{calibrated['brier']:.3f} ({calibrated['brier_of_frequencies']:.3f} by frequencies "
        "alone). Below, how many "
        f"episodes have which weight, as a power of ten; {weights['zeros']:,} have none."
    )
    total = max(1, sum(weights["counts"]))
    shares = {"weights": [count / total for count in weights["counts"]]}
    labels = [f"{edge:.2g}" for edge in weights["edges"][:-1]]
    histogram = (
        bars({"title": "log10 of a weight", "labels": labels, "shares": shares}) if labels else ""
    )
    return (
        f"<p>{escape(told['about'])}</p><div "
        f"class={'warning' if told['refusal'] else 'said'}>{escape(said)}</div>"
        f"{table(['estimator', 'value', '95 % interval'], cells)}<p>{escape(behavior)}</p>{histogram}"
    )


def card(told: dict[str, str]) -> str:
    """HTML of the model card: its entries as a table, then the environment's description as it
    is."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in told.items()
        if name != "environment"
    )
    return f"<table>{rows}</table><pre>{escape(told['environment'])}</pre>"
