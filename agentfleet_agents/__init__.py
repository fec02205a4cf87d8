"""What agents of a fleet need beside their framework: its settings, and savers that lose no session in silence.

settings.fleet_settings()      agents.env (`make env`) as one value
langgraph.open_saver()         LangGraph's checkpoints in the fleet's store, with ValkeySaver's traps closed
langgraph.open_async_saver()   the same for asyncio
crewai.keep_flows()            CrewAI's flow states in the store

A package of its own: it runs where the agents run, needs nothing of the rest of the project, and imports a framework
only in the module that is called after it.
"""
