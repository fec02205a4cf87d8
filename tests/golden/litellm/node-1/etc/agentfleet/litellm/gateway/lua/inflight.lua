-- Requests in flight by replica, over all workers. Each worker's own share is counted beside the sum, so that what a
-- killed worker never finished can be taken off again.
local ffi = require("ffi")
local counters = ngx.shared.fleet_counters

ffi.cdef("int kill(int pid, int sig);")

local inflight = {}

local function add(name, change)
    counters:incr("flight:" .. name, change, 0)
    counters:incr("flight:" .. name .. ":" .. ngx.worker.pid(), change, 0)
end

function inflight.enter(replica)
    add(replica.name, 1)
end

function inflight.leave(name)
    add(name, -1)
end

-- By name: a replica that left the fleet may still have requests to finish.
function inflight.of(name)
    return counters:get("flight:" .. name) or 0
end

-- Workers run as one user of the fleet's own: a process that may not be signalled is another program's by now.
local function is_alive(pid)
    return ffi.C.kill(pid, 0) == 0
end

-- All keys, since a replica that left the fleet may be among them. They are few, and workers end seldom.
local function forget_worker(pid)
    for _, key in ipairs(counters:get_keys(0)) do
        local name = key:match("^flight:(.+):" .. pid .. "$")
        if name then
            local left = counters:get(key)
            counters:delete(key)
            counters:incr("flight:" .. name, -left, 0)
        end
    end
end

-- Takes off what dead workers left behind. Whoever pops a worker from the list settles it, so nothing is done twice.
function inflight.reconcile()
    for _ = 1, counters:llen("workers") or 0 do
        local pid = counters:lpop("workers")
        if pid and is_alive(pid) then
            counters:rpush("workers", pid)
        elseif pid then
            forget_worker(pid)
        end
    end
end

function inflight.start_worker()
    inflight.reconcile()
    forget_worker(ngx.worker.pid()) -- a number that comes around again
    counters:rpush("workers", ngx.worker.pid())
end

return inflight
