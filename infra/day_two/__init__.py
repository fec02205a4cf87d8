"""The deciding half of the day-two verbs: what to ask the machines of a stack, and what their answers mean. Pure."""
