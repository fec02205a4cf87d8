"""The deciding half of agentfleet: spec, sizing, plan and rendering, without any effect."""
