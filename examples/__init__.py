"""Agents that live on a fleet: a hierarchical workflow of LangGraph, a flow with a crew of CrewAI."""
