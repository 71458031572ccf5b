"""Loss curves of runs, one line each, in the colours of their variants."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

HEIGHT = 320
DASHES = ("solid", "dash", "dot", "dashdot")
_GRID = "rgba(128, 128, 128, 0.22)"

Line = tuple[str, int, Sequence[int], Sequence[float]]


LOSS = "loss"
TITLES = {
    LOSS: "loss (nats per token)",
    "validation_loss": "loss on held-out tasks (nats per token)",
    "validation_accuracy": "share of held-out tasks answered right",
    "seen_loss": "loss on seen tasks (nats per token)",
    "seen_accuracy": "share of seen tasks answered right",
}


def loss_chart(
    lines: Sequence[Line], colours: Mapping[str, str], last_step: int, what: str = LOSS
) -> go.Figure:
    """Lines of (variant, seed, steps, values); seeds of a variant differ by their dashes.

    The axis reaches to `last_step` from the start, so that it stands still while lines grow.
    """
    figure = go.Figure()
    seeds = sorted({seed for _, seed, _, _ in lines})
    for variant, seed, steps, losses in lines:
        figure.add_scatter(
            x=steps,
            y=losses,
            mode="lines+markers" if what != LOSS else "lines" if len(steps) > 1 else "markers",
            name=f"{variant} · {seed}",
            line={"color": colours[variant], "width": 1.8, "dash": DASHES[seeds.index(seed) % len(DASHES)]},
            hovertemplate=f"step %{{x:,}}: {what.replace('_', ' ')} %{{y:.4f}}",
        )
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        showlegend=True,
        uirevision="kept",  # a person's zoom outlives the next poll
    )
    figure.update_xaxes(title="step", gridcolor=_GRID, zeroline=False, range=[0, last_step])
    figure.update_yaxes(title=TITLES[what], gridcolor=_GRID, zeroline=False, automargin=True)
    return figure
