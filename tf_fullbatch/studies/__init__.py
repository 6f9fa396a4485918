"""Studies: several runs, each with several seeds, made to be compared."""
