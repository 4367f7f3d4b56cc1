"""``flawsmith info``: systems, networks, presets, formats and what this machine offers."""

import typer

from flawsmith.cli.console import console

START_WITH = ("copy_paste", "dbs_gan_exemplar", "dbs_gan_real")
"""Systems for a factory, by what docs/results.md has of them."""


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command()(info)


def info() -> None:
    """List systems, presets, networks, formats and the environment."""
    from rich.table import Table

    from flawsmith.config import preset_names
    from flawsmith.data.formats import FORMATS
    from flawsmith.models import NETWORKS
    from flawsmith.models.classifiers import CLASSIFIERS
    from flawsmith.systems import SYSTEMS
    from flawsmith.training.logs import environment

    systems = Table("system", "what it is", "presets", "labels of whole images")
    for name, system in SYSTEMS:
        systems.add_row(name, _first_line(system), ", ".join(preset_names(name)),
                        "yes" if system.image_labels else "no")  # fmt: skip
    console.print(systems)
    console.print(
        f"To start with: {', '.join(START_WITH)}, in this order. The others are there to compare "
        "with what papers report."
    )
    console.print("Those with yes also train where images are labelled as a whole, without masks.")
    models = Table("inspection model", "presets")
    for name in [n for n in NETWORKS.names() if preset_names(n) and n not in SYSTEMS]:
        models.add_row(name, ", ".join(preset_names(name)))
    for name in CLASSIFIERS.names():
        models.add_row(f"{name} (whole images)", ", ".join(preset_names(name)))
    models.add_row("patchcore", ", ".join(preset_names("patchcore")))
    models.add_row("machine_vision", "fixed rules, fitted once")
    console.print(models)
    formats = Table("format of data import", "what it is")
    for name, entry in FORMATS:
        formats.add_row(name, _first_line(entry))
    console.print(formats)
    facts = environment()
    packages = ", ".join(f"{k} {v}" for k, v in facts.pop("packages").items() if v)
    console.print(packages)
    console.print(", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()))


def _first_line(entry: object) -> str:
    return (entry.__doc__ or "").strip().split("\n")[0]
