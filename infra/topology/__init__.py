"""From agents to sessions: slots by topology, contexts as they grow and are held down, and how much to leave free."""

from infra.topology.context import ContextEffect, Session, context_effect, session_of, slide_window, summarise
from infra.topology.headroom import Confidence, Seats, seats_within, whole_sessions
from infra.topology.lengths import LengthSplit, split_by_length
from infra.topology.prefix import PrefixBonus, prefix_bonus
from infra.topology.slots import RoleSlots, pool_slots, stage_slots, topology_slots

__all__ = [
    "Confidence",
    "ContextEffect",
    "LengthSplit",
    "PrefixBonus",
    "RoleSlots",
    "Seats",
    "Session",
    "context_effect",
    "pool_slots",
    "prefix_bonus",
    "seats_within",
    "session_of",
    "slide_window",
    "split_by_length",
    "stage_slots",
    "summarise",
    "topology_slots",
    "whole_sessions",
]
