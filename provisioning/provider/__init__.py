"""The `fleet` Pulumi provider: a long-lived process that the engine starts and speaks gRPC with."""
