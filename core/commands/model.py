"""Verbs about base models: `model init`, `model keep`, `model shrink`, `model expand`, `model list`."""

from pathlib import Path
from typing import Annotated

import typer

from core.commands.printing import HERE, AsJson, Experiment, Root, print_problems, print_records, say
from core.errors import UserError

app = typer.Typer(no_args_is_help=True)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the folder in data/models.")],
    hidden_size: Annotated[int, typer.Option(help="Width of the residual stream.")] = 128,
    layers: Annotated[int, typer.Option(help="Number of blocks.")] = 4,
    heads: Annotated[int, typer.Option(help="Attention heads.")] = 4,
    mlp_size: Annotated[int, typer.Option(help="Width inside each MLP.")] = 512,
    context: Annotated[int, typer.Option(help="Longest sequence in tokens.")] = 4096,
    rope_theta: Annotated[float, typer.Option(help="Base of the rotary positions.")] = 10_000.0,
    positions: Annotated[str, typer.Option(help="row, or grid: for pairs on a canvas.")] = "row",
    canvas: Annotated[int, typer.Option(help="Side of the canvas of positions on the grid.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.")] = 0,
    root: Root = HERE,
) -> None:
    """Make an embedded model (Qwen2 architecture, character tokens) with random weights."""
    from core.settings import validated
    from core.storage.models import new_model_folder
    from core.training.models import ModelShape, init_model

    values = {
        "hidden_size": hidden_size,
        "layers": layers,
        "heads": heads,
        "mlp_size": mlp_size,
        "context": context,
        "rope_theta": rope_theta,
        "positions": positions,
        "canvas": canvas,
    }
    shape = validated(ModelShape, values, "model init")
    weights = init_model(new_model_folder(root, name), shape, seed)
    say(f"data/models/{name}: {weights:,} random weights. Train it in an experiment: base_model: {name}")


@app.command()
def keep(
    experiment: Experiment,
    variant: Annotated[str, typer.Argument(help="The variant.")],
    train_seed: Annotated[int, typer.Argument(help="The seed of the training.")],
    name: Annotated[str, typer.Argument(help="Name of the new folder in data/models.")],
    root: Root = HERE,
) -> None:
    """Make a base model of what a run trained: its finished model, else that of its latest checkpoint.

    The run goes on undisturbed, so a long training can be judged on its way.
    """
    from core.experiments.launched_experiment import LaunchedExperiment
    from core.experiments.listing import one_run
    from core.pipeline.real_work import save_model_of
    from core.storage.models import new_model_folder

    run = one_run(root, experiment, variant, train_seed)
    steps = save_model_of(LaunchedExperiment.of(run), run, new_model_folder(root, name))
    of = "the finished model" if steps is None else f"the model after {steps:,} steps"
    say(f"data/models/{name}: {of} of {experiment}/{run.name}. Train it: base_model: {name}")


@app.command()
def shrink(
    base: Annotated[str, typer.Argument(help="A base model: a folder in data/models, a path or a hub name.")],
    name: Annotated[str, typer.Argument(help="Name of the new folder in data/models.")],
    root: Root = HERE,
) -> None:
    """Make a base model with only the tokens that ARC prompts need, which is smaller and faster.

    Adapters trained on it fit the whole model as they are.
    """
    from core.modeling.model_shrinking import shrink_model
    from core.storage.models import model_location, new_model_folder

    before, after = shrink_model(model_location(root, base), new_model_folder(root, name))
    say(f"data/models/{name}: {after:,} of {before:,} tokens. Train it: base_model: {name}")


@app.command()
def expand(
    shrunk: Annotated[Path, typer.Argument(help="The folder of a small model, trained or not.")],
    base: Annotated[str, typer.Argument(help="The base model that it was made from.")],
    name: Annotated[str, typer.Argument(help="Name of the new folder in data/models.")],
    root: Root = HERE,
) -> None:
    """Put the weights of a model with a small vocabulary back into the whole model."""
    from core.modeling.model_shrinking import expand_model
    from core.storage.models import model_location, new_model_folder

    expand_model(shrunk, model_location(root, base), new_model_folder(root, name))
    say(f"data/models/{name}: the whole vocabulary, the weights of {shrunk}.")


@app.command("list")
def list_(root: Root = HERE, as_json: AsJson = False) -> None:
    """List the base models in data/models."""
    from core.storage.models import list_models, model_summary

    records, problems = [], []
    for name in list_models(root):
        try:
            records.append(model_summary(root / "data" / "models" / name, name))
        except UserError as problem:
            problems.append(str(problem))
    print_problems(problems)
    print_records(records, as_json=as_json, columns=("name", "architecture", "weights_bytes", "context"))
