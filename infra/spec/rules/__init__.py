"""Rules that hold between the keys of a spec.

Each rule is a small function from a spec to the faults it sees, and names the parts that it reads: so the rules whose
parts are sound still speak when another part is not, and the operator gets all that is wrong at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.rules import access, contexts, gateway, machines, models, pools, state, unbuilt

Rule = Callable[[FleetSpec], Iterator[Fault]]

RULES: tuple[tuple[frozenset[str], Rule], ...] = tuple(
    (frozenset(parts.split()), rule)
    for parts, rule in (
        ("models", models.weights_have_one_source),
        ("models", models.hub_weights_are_pinned),
        ("models", models.only_the_hub_has_settings),
        ("models nodes", models.generated_weights_stay_in_the_lab),
        ("models", models.clients_can_tell_models_apart),
        ("workload", contexts.strategy_settings_go_with_their_strategy),
        ("workload", contexts.summaries_are_shorter_than_what_they_replace),
        ("workload", contexts.windows_keep_more_than_the_shared_prefix),
        ("workload", contexts.long_sessions_are_longer),
        ("workload pools", pools.roles_fit_the_topology),
        ("workload pools", pools.long_sessions_have_a_pool),
        ("pools models", pools.pools_name_known_models),
        ("pools nodes", pools.pools_name_known_nodes),
        ("pools nodes", pools.replicas_fit_in_a_node),
        ("pools nodes", pools.ports_do_not_collide),
        ("nodes", machines.source_and_machines_agree),
        ("nodes", machines.lab_network_is_private),
        ("nodes", machines.hosts_are_distinct),
        ("nodes", machines.one_way_to_log_in),
        ("nodes pools", machines.servers_without_gpu_state_their_kv_cache),
        ("access nodes", access.rented_machines_name_their_clients),
        ("access", access.the_internet_is_let_in_on_purpose),
        ("gateway nodes", gateway.gateway_names_a_known_node),
        ("gateway nodes pools", gateway.the_gateway_has_a_port_of_its_own),
        ("gateway nodes", gateway.machines_behind_a_gateway_have_addresses),
        ("gateway", gateway.litellm_leaves_a_port_for_the_gateway),
        ("gateway", gateway.certificates_have_their_files),
        ("gateway", gateway.client_keys_are_distinct),
        ("state nodes", state.the_store_names_known_nodes),
        ("state", state.sentinel_has_three_nodes),
        ("state gateway nodes pools", state.the_store_has_ports_of_its_own),
        ("state gateway nodes", state.machines_of_the_store_have_addresses),
        ("queue", unbuilt.queue_is_built),
    )
)
"""Every rule, with the top-level keys of the spec that it reads."""


def broken_rules(spec: FleetSpec, sound: Set[str]) -> Iterator[Fault]:
    """What the rules find in those parts of `spec` that are `sound`; other parts need not even be there."""
    for parts, rule in RULES:
        if parts <= sound:
            yield from rule(spec)
