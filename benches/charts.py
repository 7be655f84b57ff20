#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["matplotlib==3.11.*"]
# ///
"""Draws the figures of the benchmark as SVG files, from its lines for programs.

    cargo bench --bench follow --features full | tee results.txt
    pip install 'matplotlib==3.11.*'
    benches/charts.py results.txt [MORE ...]

The charts are written to benches/charts/. If a figure stands in several lines, the last one counts.
"""

import pathlib
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

FOLDER = pathlib.Path(__file__).resolve().parent / "charts"

# The colors are readable on white and on black, because a browser may show an SVG on either.
TEXT = "#7a7a7a"
COLORS = {
    "floor": "#9a9a9a",
    "reqwest-alone": "#b08a3c",
    "reqwest": "#2f81d8",
    "isahc": "#3a9a54",
    "surf": "#a05fc0",
}

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "box-longpoll",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "ytick.left": False,
    "legend.frameon": False,
}

# The rows of the chart, by the end of their figure's name.
LATENCY = {
    "notify": "an event now and then",
    "notify_after_100s": "after 100 s of quiet",
    "notify_after_600s": "after 10 min of quiet",
    "second_50": "50 ms after another",
    "second_150": "150 ms after another",
    "second_250": "250 ms after another",
    "second_500": "500 ms after another",
    "second_any": "10 to 600 ms after another",
    "cut_p50": "polls cut every 60 s",
}

MEMORY = {
    "idle_memory": "idle",
    "idle_memory_tls": "idle, over TLS",
    "idle_warm_memory": "after 2,500 events",
}


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    figures = read(sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    with matplotlib.rc_context(STYLE):
        latency(figures, "rtt", "latency")
        latency(figures, "rtt_tls", "latency-tls")
        catch_up(figures)
        memory(figures)


def read(paths):
    """The values by figure and subject, without those that could not be measured."""
    figures = {}
    for path in paths:
        for line in pathlib.Path(path).read_text().splitlines():
            match line.removeprefix("follow/").split():
                case [name, value, _] if line.startswith("follow/") and value != "-":
                    subject, figure = name.split("/")
                    figures.setdefault(figure, {})[subject] = float(value)
    return figures


def latency(figures, prefix, name):
    rows = {f"{prefix}_{row}": label for row, label in LATENCY.items() if f"{prefix}_{row}" in figures}
    if not rows:
        return
    latest = {figure: f"{figure}_max" for figure in rows} | {f"{prefix}_cut_p50": f"{prefix}_cut"}
    chart, axes = pyplot.subplots(figsize=(8, 0.8 + 0.5 * len(rows)))
    bars(axes, figures, rows, lambda value: f"{value:.2f}", latest)
    axes.axvline(1.5, color=TEXT, linestyle=":", linewidth=1)
    axes.set_xlabel("round trips from an event until the consumer has it (bar: median, line: latest; dots: the limit, 1.5)")
    save(chart, name)


def catch_up(figures):
    times = {figure: label(figure) for figure in figures if figure.startswith("rtt_catchup") and figure != "rtt_catchup_bytes"}
    chart, (left, right) = pyplot.subplots(1, 2, figsize=(8, 1.2 + 0.5 * len(times)), width_ratios=[3, 2])
    in_ms = {figure: {subject: value * 1e3 for subject, value in figures[figure].items()} for figure in times}
    bars(left, in_ms, times, lambda value: f"{value:.0f}")
    left.set_xlabel("milliseconds for each page of 500 events")
    sizes = {"rtt_catchup_bytes": ""} if "rtt_catchup_bytes" in figures else {}
    in_kb = {figure: {subject: value / 1e3 for subject, value in figures[figure].items()} for figure in sizes}
    bars(right, in_kb, sizes, lambda value: f"{value:.0f}", legend=False)
    right.set_xlabel("KB on the wire for each page")
    save(chart, "catch-up")


def label(figure):
    mbit = figure.removeprefix("rtt_catchup").strip("_").removesuffix("_mbit")
    return f"at {mbit} Mbit/s" if mbit else "no limit of bandwidth"


def memory(figures):
    rows = {figure: label for figure, label in MEMORY.items() if figure in figures}
    in_kb = {figure: {subject: value / 1e3 for subject, value in figures[figure].items()} for figure in rows}
    chart, axes = pyplot.subplots(figsize=(8, 1 + 0.9 * len(rows)))
    bars(axes, in_kb, rows, lambda value: f"{value:.0f}")
    axes.set_xlabel("KB for each of 10,000 held streams")
    save(chart, "memory")


def bars(axes, figures, rows, text, latest=None, legend=True):
    """Draws a group of bars for each row, with a bar for each subject that has a value in any row."""
    subjects = [subject for subject in COLORS if any(subject in figures[figure] for figure in rows)]
    height = 0.8 / max(len(subjects), 1)
    for number, subject in enumerate(subjects):
        known = [(row, figure) for row, figure in enumerate(rows) if subject in figures[figure]]
        values = [figures[figure][subject] for _, figure in known]
        places = [row + (number - (len(subjects) - 1) / 2) * height for row, _ in known]
        axes.barh(places, values, height * 0.9, color=COLORS[subject], label=subject)
        for place, value, (_, figure) in zip(places, values, known):
            end = figures.get((latest or {}).get(figure), {}).get(subject, value)
            axes.plot([value, end], [place, place], color=COLORS[subject], linewidth=1.5)
            axes.annotate(text(value) if end == value else f"{text(value)} … {text(end)}", (end, place), (4, 0),
                          textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), rows.values())
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    if legend and subjects:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(subjects))


def save(chart, name):
    chart.savefig(FOLDER / f"{name}.svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(chart)


if __name__ == "__main__":
    main()
