"""What of memory samples may take before they stream, where nothing says whether they should."""

MEMORY_SHARE = 0.25
"""Share of the device's memory that samples may take and stay there."""
STREAMED_SHARE = 0.5
"""Share of the host's memory that the decoded images of a folder may take before they stay in their files."""
