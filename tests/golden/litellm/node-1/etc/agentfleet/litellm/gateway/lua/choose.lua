-- Which replica answers a request. A session stays where its KV cache is; new ones go where the ring says, as far as the
-- bound on sessions allows. The answer is the replica and why it was chosen:
--
--   new      first turn of a session            home   follow-up turn, where the ring points
--   kept     follow-up turn, elsewhere           spilled  moved, because its replica was congested
--   moved    its replica is gone, or it could go home from a replica that has too many sessions
--   none     no session is named: the replica with the fewest requests in flight
local fleet = require("fleet")
local inflight = require("inflight")
local members = require("members")
local sessions = require("sessions")
local counters = ngx.shared.fleet_counters

local choose = {}

local function usable_of(pool, tried)
    local usable = {}
    for _, replica in ipairs(pool.replicas) do
        if not (tried and tried[replica]) and members.is_usable(replica) then
            usable[#usable + 1] = replica
        end
    end
    return usable
end

-- A session that moves computes its whole context again, which makes a congestion worse. It moves only when as many
-- requests wait in its replica as run there: on skewed load the 90th percentile of a turn is then that of a router with
-- perfect knowledge; moved as soon as one request waits, 1.6 times as long (tests/bench/affinity).
local CONGESTED = 2

local function is_saturated(replica)
    return inflight.of(replica.name) >= replica.max_num_seqs
end

local function is_congested(replica)
    return inflight.of(replica.name) >= CONGESTED * replica.max_num_seqs
end

-- The most sessions that one of these replicas may have when `more` come: load_factor times the mean, rounded up.
local function bound(usable, more)
    local load_factor = fleet.settings.load_factor
    if not load_factor then
        return math.huge
    end
    local all = more
    for _, replica in ipairs(usable) do
        all = all + sessions.on(replica)
    end
    return math.ceil(load_factor * all / #usable)
end

-- The first replica of the session's walk that is below the bound and not saturated; else the first below the bound.
local function place_in(pool, session, usable)
    local allowed, most = {}, bound(usable, 1)
    for _, replica in ipairs(usable) do
        allowed[replica] = true
    end
    local first, first_below
    for replica in pool.ring:walk(session) do
        if allowed[replica] then
            first = first or replica
            if sessions.on(replica) < most then
                if most == math.huge or not is_saturated(replica) then
                    return replica
                end
                first_below = first_below or replica
            end
        end
    end
    return first_below or first
end

local function home_of(pool, session)
    for replica in pool.ring:walk(session) do
        if members.is_usable(replica) then
            return replica
        end
    end
end

-- Another replica of the walk that has room for a session of a congested one, if there is any.
local function way_out(pool, session, replica)
    local usable = usable_of(pool, { [replica] = true })
    usable[#usable + 1] = replica
    local most = bound(usable, 0)
    for other in pool.ring:walk(session) do
        if other ~= replica and members.is_usable(other) and sessions.on(other) < most and not is_saturated(other) then
            return other
        end
    end
end

-- A session away from home goes back when its replica has more sessions than the bound and home has fewer: so replicas
-- that were out for a change fill up again without a move that the bound does not ask for.
local function should_go_home(pool, replica, home)
    local most = bound(usable_of(pool), 0)
    return sessions.on(replica) > most and sessions.on(home) < most and not is_saturated(home)
end

local function follow_up(pool, session, replica)
    local home = home_of(pool, session)
    if not fleet.settings.load_factor then
        return home, replica == home and "home" or "moved"
    end
    if is_congested(replica) then
        local other = way_out(pool, session, replica)
        if other then
            return other, "spilled"
        end
    elseif replica ~= home and should_go_home(pool, replica, home) then
        return home, "moved"
    end
    return replica, replica == home and "home" or "kept"
end

-- Whether any replica of the pool takes requests.
function choose.is_possible(pool)
    for _, replica in ipairs(pool.replicas) do
        if members.is_usable(replica) then
            return true
        end
    end
    return false
end

-- For a request of this session. Nil when no replica of the pool is usable.
function choose.for_session(pool, session)
    local replica = sessions.replica_of(pool, session)
    local affinity
    if replica and members.is_usable(replica) then
        replica, affinity = follow_up(pool, session, replica)
    else
        local usable = usable_of(pool)
        affinity = replica == nil and "new" or "moved"
        replica = #usable > 0 and place_in(pool, session, usable) or nil
    end
    if not replica then
        return nil
    end
    if affinity == "new" then
        sessions.place(pool, session, replica)
    elseif affinity == "spilled" or affinity == "moved" then
        sessions.move(pool, session, replica)
    end
    return replica, affinity
end

-- For a request of nobody: the fewest in flight, and of equals the one that was asked least often.
function choose.least_loaded(pool, tried)
    local best, best_load, best_asked
    for _, replica in ipairs(usable_of(pool, tried)) do
        local load, asked = inflight.of(replica.name), counters:get("requests:" .. replica.name) or 0
        if not best or load < best_load or (load == best_load and asked < best_asked) then
            best, best_load, best_asked = replica, load, asked
        end
    end
    return best
end

-- After a replica that could not be reached: the next of the session's walk that was not tried.
function choose.next_after_failure(pool, session, tried)
    if not session then
        return choose.least_loaded(pool, tried)
    end
    local usable = usable_of(pool, tried)
    if #usable == 0 then
        return nil
    end
    local replica = place_in(pool, session, usable)
    sessions.move(pool, session, replica)
    return replica
end

return choose
