"""Files: whole-file writes, appended lines, parquet schemas, and DuckDB over parquet."""
