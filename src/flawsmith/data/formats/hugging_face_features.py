"""What the columns of a Hugging Face data set mean: class names and kinds, from its own notes.

Features are kept in the JSON form that `datasets` writes (``dataset_info.json``, schema metadata);
the YAML form in the head of ``README.md`` is brought into it.
"""

import posixpath
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.text import decode_text, parse_json
from flawsmith.errors import FlawsmithError

Features = dict[str, Any]
DEEPEST = 6
"""Lists in lists in features; more is no real data set."""

LONGEST_HEAD = 1 << 20


def features_of(metadata: dict[bytes, bytes]) -> Features:
    """Return the features in the metadata of an Arrow schema, or nothing."""
    try:
        content = parse_json(decode_text(metadata.get(b"huggingface", b"{}")))
        found = content["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def folder_features(folder: SourceFolder) -> Features:
    """Return the features that ``dataset_info.json`` or ``README.md`` tell; the first tells most.

    Raises:
        FlawsmithError: if a file is there and cannot be read.
    """
    found: Features = {}
    for file in folder.files:
        if posixpath.basename(file) == "dataset_info.json":
            content = folder.read_json(file)
            told = content.get("features") if isinstance(content, dict) else None
            found = (told if isinstance(told, dict) else {}) | found
    if "README.md" in folder.names:
        found = _card_features(folder.read_text("README.md")) | found
    return found


def class_names(feature: Any, depth: int = 0) -> list[str]:  # noqa: ANN401 - any JSON
    """Return the names of a ClassLabel, also inside lists; empty for anything else."""
    if depth > DEEPEST:
        return []
    if isinstance(feature, list) and len(feature) == 1:
        return class_names(feature[0], depth + 1)
    if not isinstance(feature, dict):
        return []
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        return [str(name) for name in names] if isinstance(names, list) else []
    return class_names(feature.get("feature"), depth + 1)


def field_names(feature: Any, fields: Sequence[str]) -> list[str]:  # noqa: ANN401 - any JSON
    """Return the class names of the first of ``fields`` in a feature of objects."""
    for _ in range(DEEPEST):
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "_type" in feature:
            feature = feature.get("feature")
    if not isinstance(feature, dict):
        return []
    return next((names for f in fields if (names := class_names(feature.get(f)))), [])


def _card_features(text: str) -> Features:
    """Return the features in the YAML head of a data set card."""
    head = re.match(r"---\s*\n(.*?)\n---\s*(?:\n|$)", text[:LONGEST_HEAD], re.DOTALL)
    if head is None or "dataset_info" not in head[1]:
        return {}
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise FlawsmithError(
            "README.md names classes in YAML, which is read with PyYAML; it is not installed; "
            "install it: pip install 'flawsmith[train]'"
        ) from None
    try:
        content = yaml.safe_load(head[1])
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FlawsmithError(f"the head of README.md is not readable YAML: {error}") from None
    infos = content.get("dataset_info") if isinstance(content, dict) else None
    found: Features = {}
    for info in infos if isinstance(infos, list) else [infos]:
        fields = info.get("features") if isinstance(info, dict) else None
        found = _fields(fields, 0) | found
    return found


def _fields(entries: Any, depth: int) -> Features:  # noqa: ANN401 - any YAML
    if not isinstance(entries, list) or depth > DEEPEST:
        return {}
    named = [entry for entry in entries if isinstance(entry, dict) and "name" in entry]
    return {str(entry["name"]): _feature(entry, depth) for entry in named}


def _feature(entry: Any, depth: int) -> Any:  # noqa: ANN401 - any YAML
    """Return a feature of YAML in JSON form."""
    if isinstance(entry, list):
        return _fields(entry, depth + 1)
    if depth > DEEPEST or not isinstance(entry, dict):
        return {"_type": "Value", "dtype": str(entry)}
    for key in ("sequence", "list"):
        if key in entry:
            return {"_type": "List", "feature": _feature(entry[key], depth + 1)}
    if "struct" in entry:
        return _fields(entry["struct"], depth + 1)
    kind = entry.get("dtype", entry)
    if isinstance(kind, dict) and isinstance(kind.get("class_label"), dict):
        names = kind["class_label"].get("names")
        if isinstance(names, dict):
            names = list(names.values())
        return {"_type": "ClassLabel", "names": names}
    if kind == "image":
        return {"_type": "Image"}
    return {"_type": "Value", "dtype": str(kind)}
