"""The same work in plain PyTorch, a script for an interpreter that has it."""
