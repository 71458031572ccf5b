"""Tasks become text and answers become grids: encoders, templates, the embedded tokenizer."""
