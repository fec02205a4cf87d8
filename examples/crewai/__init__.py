"""A flow whose steps are a call of the model and crews of two agents; its state is in the fleet's store.

CrewAI reports to its makers unless it is told not to, which must happen before it is imported. These agents talk to
their fleet alone.
"""

import os

for _switch, _value in (
    ("CREWAI_DISABLE_TELEMETRY", "true"),
    ("CREWAI_TRACING_ENABLED", "false"),
    ("CREWAI_DISABLE_VERSION_CHECK", "true"),
    ("OTEL_SDK_DISABLED", "true"),
):
    os.environ.setdefault(_switch, _value)
