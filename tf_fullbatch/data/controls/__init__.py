"""Controls of generalisation studies: changed labels, changed inputs, samples twice or left out."""
