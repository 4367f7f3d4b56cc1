"""What a run may set of an inspection network: the keywords of its function in the registry."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import create_model
from torch import nn

from flawsmith.config import StrictModel, validate

GIVEN = ("in_channels", "num_classes", "load")
"""Keywords that the data decide, and whether pretrained weights are read; never settings."""

Factory = Callable[..., nn.Module]


def settings_model(factory: Factory) -> type[StrictModel]:
    """Return the configuration class with one field for each setting of a network."""
    keywords = inspect.signature(factory, eval_str=True).parameters
    fields: dict[str, Any] = {
        name: (keyword.annotation, keyword.default)
        for name, keyword in keywords.items()
        if name not in GIVEN
    }
    return create_model("NetworkSettings", __base__=StrictModel, **fields)


def complete_settings(name: str, factory: Factory, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a network: ``values``, and its own for the rest.

    Raises:
        FlawsmithError: for an unknown setting or a wrong value, naming it.
    """
    settings = validate(settings_model(factory), values, source=f"table 'network' of {name}")
    return settings.model_dump(mode="json")


def build_network(
    factory: Factory,
    settings: Mapping[str, Any],
    *,
    in_channels: int,
    num_classes: int,
    load: bool = True,
) -> nn.Module:
    """Build an inspection network.

    Args:
        factory: its entry in the registry.
        settings: as `complete_settings` gives them.
        in_channels: 1 grey, 3 colour.
        num_classes: with the background as class 0.
        load: read pretrained weights; False where a checkpoint brings all weights, so that the
            package with the pretrained ones is not needed.
    """
    chosen = dict(settings)
    if "load" in inspect.signature(factory).parameters:
        chosen["load"] = load
    return factory(in_channels=in_channels, num_classes=num_classes, **chosen)
