"""Programs that are sent to a node and run there, by the engine's own Python."""
