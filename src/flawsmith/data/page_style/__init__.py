"""The style that pages share; `templates.render` finds it."""
