"""Several processes for one training: ranks that share its steps, and samples drawn ahead."""
