"""Pages out of templates: one way to fill them, and every text in them is escaped."""

from importlib import resources
from typing import Any

STYLE = "flawsmith.data.page_style"
"""What several pages share."""


def render(package: str, template: str, **values: Any) -> str:  # noqa: ANN401 - as jinja2 does
    """Return a template of ``package``/templates filled with values; an unknown name is an error.

    Args:
        package: such as ``flawsmith.experiment.report``.
        template: its file name; what it includes lies beside it or in ``data/page_style``.
        values: names in the template.
    """
    # Here, so that a command without a page does not wait for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folders = (resources.files(package) / "templates", resources.files(STYLE))
    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
