-- Where each session was put, until it has been silent for session_idle_s; and how many sessions each replica has.
--
-- An entry's time to live is its deadline plus LONG, so that it never vanishes by itself: the sweep forgets it and counts
-- it off. The sweep looks at each entry once in an idle time, in lists by the second of its deadline.
local fleet = require("fleet")
local entries = ngx.shared.fleet_sessions
local deadlines = ngx.shared.fleet_deadlines
local counters = ngx.shared.fleet_counters

local LONG = 1e8 -- seconds
local LOCK_S = 1
local MOST_PER_SWEEP = 5000

local sessions = {}

local function entry_key(pool, session)
    return pool.name .. " " .. session
end

local function count(id, change)
    counters:incr("sessions:" .. id, change, 0)
end

-- Two workers must not move or forget one session at once: the counts would drift.
local function lock(key)
    return deadlines:add("lock:" .. key, true, LOCK_S)
end

local function unlock(key)
    deadlines:delete("lock:" .. key)
end

local function look_again_at(second, key)
    return deadlines:rpush("at:" .. second, key)
end

-- The replica that the session was put on: nil when none is remembered, false when it is no longer of this fleet.
function sessions.replica_of(pool, session)
    local id = entries:get(entry_key(pool, session))
    if not id then
        return nil
    end
    local replica = fleet.by_id[id]
    return replica and replica.pool == pool.name and replica or false
end

function sessions.on(replica)
    return counters:get("sessions:" .. replica.id) or 0
end

-- Remember a session that is not known. Where another worker was faster, its choice stands. When memory is full the
-- session is not remembered: it goes where the ring says.
function sessions.place(pool, session, replica)
    local key, idle_s = entry_key(pool, session), fleet.settings.session_idle_s
    local added, problem = entries:safe_add(key, replica.id, LONG + idle_s)
    if added and look_again_at(math.floor(ngx.now() + idle_s) + 1, key) then
        count(replica.id, 1)
    elseif added then
        entries:delete(key)
        counters:incr("unremembered", 1, 0)
    elseif problem ~= "exists" then
        counters:incr("unremembered", 1, 0)
    end
end

-- The session is on another replica from now on.
function sessions.move(pool, session, replica)
    local key = entry_key(pool, session)
    if not lock(key) then
        return
    end
    local id = entries:get(key)
    if id and id ~= replica.id then
        entries:set(key, replica.id, LONG + fleet.settings.session_idle_s)
        count(id, -1)
        count(replica.id, 1)
    end
    unlock(key)
end

-- The session took a turn: its time begins anew. One that was forgotten during a long answer is remembered again.
function sessions.renew(pool, session, replica)
    if not entries:expire(entry_key(pool, session), LONG + fleet.settings.session_idle_s) then
        sessions.place(pool, session, replica)
    end
end

local function forget_if_silent(key, now)
    local left = entries:ttl(key)
    if not left then
        return
    end
    if left > LONG then
        look_again_at(math.floor(now + left - LONG) + 1, key)
    elseif not lock(key) then
        look_again_at(math.floor(now) + 1, key)
    else
        count(entries:get(key), -1)
        entries:delete(key)
        unlock(key)
    end
end

-- Forget sessions whose deadline has passed. What is too much for one sweep is left to the next, so that nobody waits.
function sessions.sweep()
    local now = ngx.now()
    deadlines:add("swept", math.floor(now) - 1)
    local looked_at = 0
    for second = deadlines:get("swept") + 1, math.floor(now) do
        local key = deadlines:lpop("at:" .. second)
        while key do
            forget_if_silent(key, now)
            looked_at = looked_at + 1
            if looked_at == MOST_PER_SWEEP then
                return
            end
            key = deadlines:lpop("at:" .. second)
        end
        deadlines:set("swept", second)
    end
end

return sessions
