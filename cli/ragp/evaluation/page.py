"""The report as one HTML page: nothing is loaded from elsewhere, and no script is needed to read it."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ragp.evaluation import plots
from ragp.evaluation.report import Report
from ragp.evaluation.scoring import title_of
from ragp.evaluation.summary import Figure


def html_report(report: Report) -> str:
    environment = Environment(
        loader=PackageLoader("ragp.evaluation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["title"] = title_of
    return environment.get_template("report.html.j2").render(report=report, **_plots(report))


def _plots(report: Report) -> dict[str, Any]:
    """Already escaped, by :mod:`ragp.evaluation.plots`."""
    metrics = list(dict.fromkeys(metric for summary in report.summaries for metric in summary.figures))
    by_metric = {
        title_of(metric): [_interval(summary.figures.get(metric)) for summary in report.summaries]
        for metric in metrics
    }
    first = metrics[0] if metrics else ""
    return {
        "metrics": metrics,
        "figures_plot": _safe(plots.bars("Metrics by settings", by_metric)),
        "groups_plot": _safe(plots.bars("First metric by group", _groups(report, first))),
        "histogram_plot": _safe(
            plots.histogram("Questions by first metric", [each.histogram for each in report.summaries])
        ),
        "difference_plots": [
            _safe(plots.differences("Difference by question", each.differences))
            for each in report.comparisons
        ],
    }


def _safe(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - the plots escape every text


def _interval(figure: Figure | None) -> plots.Bar:
    return (figure.mean, figure.low, figure.high) if figure is not None else None


def _groups(report: Report, metric: str) -> dict[str, list[plots.Bar]]:
    """The groups of the first settings, with a bar for each settings."""
    found = [
        {(group.kind, group.name): group.figures.get(metric) for group in summary.groups}
        for summary in report.summaries
    ]
    return {
        name if kind == "language and collection" else f"{kind} {name}": [
            groups.get((kind, name)) for groups in found
        ]
        for kind, name in found[0]
    }
