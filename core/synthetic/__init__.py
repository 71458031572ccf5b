"""Made-up experiments with the files that real ones leave, for benchmarks and tests."""
