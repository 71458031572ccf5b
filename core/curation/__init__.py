"""Sources become tasks; people's flags, partitions and mixtures say which of them are trained on."""
