"""The acting half of the day-two verbs: a stack's outputs, questions to all of its machines at once, their journals."""
