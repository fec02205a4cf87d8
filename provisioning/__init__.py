"""The acting half of agentfleet: the `fleet` Pulumi provider and everything that touches a machine."""
