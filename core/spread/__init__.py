"""Mean ± std, intervals, components, tests, planning: pure functions on arrays."""
