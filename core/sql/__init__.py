"""A person's SQL over a project, answered by a bounded process."""
