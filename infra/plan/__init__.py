"""The plan: every decision of a fleet, made from the spec and the models' facts alone."""

from infra.plan.fleet_plan import FleetPlan, NodePlan, PoolPlan, ReplicaPlan
from infra.plan.make import make_plan

__all__ = ["FleetPlan", "NodePlan", "PoolPlan", "ReplicaPlan", "make_plan"]
