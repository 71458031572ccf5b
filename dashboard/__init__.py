"""The pages: inputs, one core call, one chart. Nothing is computed here."""
