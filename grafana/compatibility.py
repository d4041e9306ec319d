"""What the SDK leaves to be done before Grafana 10.4 and newer ones read its dashboard."""

import json
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.bargauge import Options as BarGaugeOptions
from grafana_foundation_sdk.models.stat import Options as StatOptions

# The oldest Grafana that the dashboard is for: newer ones migrate from there, older fields stay as they are.
GRAFANA, SCHEMA = "10.4.0", 39


def _for_oldest(board: models.Dashboard) -> None:
    """Number the panels, close up behind collapsed rows, and leave out what the oldest Grafana does not know."""
    board.schema_version = SCHEMA
    panels: list[models.Panel | models.RowPanel] = []
    hidden = 0
    for panel in board.panels or []:
        inside = panel.panels if isinstance(panel, models.RowPanel) else []
        panels += [panel, *inside]
        if panel.grid_pos:
            panel.grid_pos.y -= hidden
        hidden += max((each.grid_pos.h for each in inside if each.grid_pos), default=0)
    for panel_id, panel in enumerate(panels, start=1):
        panel.id_val = panel_id
        if isinstance(panel, models.Panel):
            panel.plugin_version = GRAFANA
            for kind, unknown in ((StatOptions, "percentChangeColorMode"), (BarGaugeOptions, "legend")):
                if isinstance(panel.options, kind):
                    options = panel.options.to_json()
                    del options[unknown]
                    panel.options = options
    for variable in (board.templating and board.templating.list_val) or []:
        variable.allow_custom_value = variable.auto = variable.auto_min = variable.auto_count = None


def as_json(board: models.Dashboard) -> dict[str, Any]:
    """Return a dashboard as every Grafana reads it, with what the SDK has no fields for. Changes the dashboard."""
    _for_oldest(board)
    plain: dict[str, Any] = json.loads(json.dumps(board, cls=JSONEncoder))
    for annotation in plain["annotations"]["list"]:
        annotation |= {"titleFormat": "{{alertname}}", "textFormat": "{{account}} {{month}} {{endpoint}}"}
    return plain
