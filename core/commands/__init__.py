"""The verbs of the command line, one file per group: parse, call, print. Nothing is computed here."""
