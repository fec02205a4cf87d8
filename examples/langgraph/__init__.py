"""A hierarchical workflow: an orchestrator plans, workers answer in parallel, the orchestrator reports."""
