"""New rows of a model's vocabulary, for tokens that it did not know."""

from typing import Any

from core.seeds import generator


def grow_vocabulary(model: Any, size: int, seed: int = 0) -> None:
    """Give embedding and head rows up to `size` tokens, in place; nothing where they have as many.

    New rows are drawn from the normal distribution that the rows of each layer have, coordinate by coordinate
    their mean and over all of them their deviation, and depend on the seed and the number of the first alone.
    """
    import torch

    before = int(model.get_input_embeddings().weight.shape[0])
    if size <= before:
        return
    model.resize_token_embeddings(size, mean_resizing=False)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is embedding.weight
    for place, layer in enumerate([embedding] if tied else [embedding, head]):
        rng = generator(seed, "vocabulary rows", before, place)
        drawn = rng.standard_normal((size - before, layer.weight.shape[1]), dtype="float32")
        with torch.no_grad():
            known = layer.weight[:before].float()
            rows = torch.from_numpy(drawn).to(known.device) * known.std() + known.mean(dim=0)
            layer.weight[before:] = rows.to(layer.weight.dtype)
