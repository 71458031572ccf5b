"""Sources become tasks; people's flags and partitions say which of them are trained on."""
