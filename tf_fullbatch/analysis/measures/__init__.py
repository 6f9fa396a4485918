"""What is measured along training, `--measure`: one file a measure, its settings beside it."""
