"""What the package gets wrong at present. A fault that is mended fails its test until it is taken off this list."""

# Layer, penalties, dtype policies, what happens.
_FAULTS: list[tuple[str, tuple[str, ...], tuple[str, ...], str]] = []

KNOWN_FAULTS = {
    (layer, penalty, policy): what
    for layer, penalties, policies, what in _FAULTS
    for penalty in penalties
    for policy in policies
}
