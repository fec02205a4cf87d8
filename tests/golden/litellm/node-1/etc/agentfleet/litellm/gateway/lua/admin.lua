-- The admin socket: status, metrics, and a replica's way out of the ring and in again. Only root reaches it.
local answers = require("answers")
local fleet = require("fleet")
local inflight = require("inflight")
local members = require("members")
local metrics = require("metrics")

local admin = {}

local function plain(text)
    ngx.header["Content-Type"] = "text/plain; version=0.0.4"
    ngx.print(text)
end

function admin.status()
    answers.send(200, metrics.status())
end

function admin.metrics()
    plain(metrics.page())
end

local function object_of(replica)
    return metrics.of_replica(replica, fleet.pools[replica.pool].ring:shares(members.is_usable))
end

local function settle(replica, done, problem)
    if not done then
        return answers.send(500, { error = "it cannot be written down: " .. problem })
    end
    return answers.send(200, object_of(replica))
end

local function known(name)
    local replica = fleet.replicas[name]
    -- One that left the pools is known while it has requests to finish, so that its deployment can wait for them.
    if not replica and inflight.of(name) <= 0 then
        return answers.send(404, { error = "the gateway knows no replica " .. name })
    end
    return replica
end

-- /replicas/<name>/out, /in and /in-flight
function admin.replica(name, verb)
    local replica = known(name)
    if verb == "in-flight" then
        return plain(inflight.of(name))
    end
    if ngx.req.get_method() ~= "POST" then
        return answers.send(405, { error = "use POST" })
    end
    if not replica then
        return answers.send(200, { ring = "out", in_flight = inflight.of(name) })
    end
    local by = ngx.var.arg_by == "update" and "update" or "operator"
    if verb == "out" then
        return settle(replica, members.take_out(replica, by))
    end
    return settle(replica, members.take_in(replica, ngx.var.arg_address, by))
end

return admin
