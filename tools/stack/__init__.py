"""The verbs behind `make up`, `make preview` and `make down`: Pulumi, run so that one command is enough."""
