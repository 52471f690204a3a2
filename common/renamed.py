"""Names in the files of earlier versions, and what they are called now."""

RENAMED = {
    "normaliser": "normalizer",
    "standardise": "standardize",
    "prioritised": "prioritized",
    "most_environment_faults": "max_environment_faults",
    "most_weight": "max_weight",
}


def renamed(name: str) -> str:
    """The name, each of whose parts between dots is what it is called now."""
    return ".".join(RENAMED.get(part, part) for part in name.split("."))
