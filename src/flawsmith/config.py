"""Configuration: strict pydantic models, TOML presets, dotted overrides.

An unknown key is an error that names the nearest known one; nothing is ignored silently.
"""

import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from flawsmith.errors import FlawsmithError
from flawsmith.registry import nearest_name

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A frozen configuration object in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def validate(model: type[Model], values: Mapping[str, Any], *, source: str) -> Model:
    """Build ``model`` from plain values.

    Args:
        model: the pydantic class.
        values: nested plain data.
        source: where the values came from, for the message.

    Raises:
        FlawsmithError: naming every wrong key, what was given and what was expected.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [_explain(model, dict(item)) for item in error.errors()]
        raise FlawsmithError(f"{source}: " + "; ".join(lines)) from None


def _explain(model: type[BaseModel], item: dict[str, Any]) -> str:
    path = [str(part) for part in item["loc"]]
    name = ".".join(path)
    if item["type"] == "extra_forbidden":
        known = _field_names(model, path[:-1])
        return f"unknown key '{name}'{nearest_name(path[-1], known)}"
    if item["type"] == "missing":
        return f"'{name}' is missing"
    if not path:  # of settings that do not fit each other, which the message names
        return str(item["msg"]).removeprefix("Value error, ")
    return f"'{name}' = {item.get('input')!r}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _field_names(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def load_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        FlawsmithError: if it is missing or not TOML, with line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FlawsmithError(f"there is no file {path}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FlawsmithError(f"{path} is not a TOML file: {error}") from None


def to_toml(model: BaseModel) -> str:
    """Return ``model`` as TOML; keys without a value are left out."""
    return tomli_w.dumps(_with_values(model.model_dump(mode="json", exclude_none=True)))


def _with_values(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out None in tables of free keys too, which ``exclude_none`` does not look into."""
    return {
        key: _with_values(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def preset_names(system: str) -> list[str]:
    """Return the names of the presets that are shipped for ``system``."""
    folder = resources.files("flawsmith") / "presets" / system
    if not folder.is_dir():
        return []
    names = (Path(entry.name) for entry in folder.iterdir())
    return sorted(name.stem for name in names if name.suffix == ".toml")


def load_preset(system: str, preset: str) -> dict[str, Any]:
    """Return the plain values of a shipped preset.

    Raises:
        FlawsmithError: if the system has no such preset; the message lists those it has.
    """
    known = preset_names(system)
    if preset not in known:
        raise FlawsmithError(
            f"{system} has no preset '{preset}'{nearest_name(preset, known)} "
            f"(it has: {', '.join(known)})"
        )
    text = (resources.files("flawsmith") / "presets" / system / f"{preset}.toml").read_text("utf-8")
    return tomllib.loads(text)


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return ``values`` with ``key.sub=value`` strings applied; values are parsed as TOML.

    Raises:
        FlawsmithError: if an override has no ``=`` or runs through something that is no table.
    """
    result = _copy(values)
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise FlawsmithError(f"--set {override}: expected key=value, such as loss.weight_adv=1")
        table = result
        *parents, last = key.strip().split(".")
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise FlawsmithError(f"--set {override}: '{parent}' is a value, not a table")
        table[last] = _parse(text.strip())
    return result


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _parse(text: str) -> Any:  # noqa: ANN401 - a TOML value has any type
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word, such as real or tiles.csv
