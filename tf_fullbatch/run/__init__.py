"""From a configuration to a run: devices, parts, training, evaluation, plan."""
