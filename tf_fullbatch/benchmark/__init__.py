"""What a step costs, measured beside plain loops."""
