-- Looks at replicas from the outside. One that cannot be connected to gets no requests; it gets them again when its
-- /health says 200. A healthy one is only connected to: an engine that is busy may take long to answer.
local fleet = require("fleet")
local members = require("members")

local CONNECT_MS = 2000
local ANSWER_MS = 5000
local MOST_MISSES = 2

local probe = { EVERY_S = 1 }
local misses, busy = {}, false

local function answers_health(replica)
    local socket = ngx.socket.tcp()
    socket:settimeouts(CONNECT_MS, ANSWER_MS, ANSWER_MS)
    local line
    if socket:connect(members.peer_of(replica)) then
        socket:send("GET /health HTTP/1.0\r\nHost: " .. members.address_of(replica) .. "\r\n\r\n")
        line = socket:receive("*l")
    end
    socket:close()
    return line ~= nil and line:find("^HTTP/1%.%d 200") ~= nil
end

-- One lost packet is no reason: a refusal counts at once, silence twice.
local function can_be_reached(replica)
    local socket = ngx.socket.tcp()
    socket:settimeout(CONNECT_MS)
    local connected, problem = socket:connect(members.peer_of(replica))
    socket:close()
    if connected then
        misses[replica.name] = 0
        return true
    end
    misses[replica.name] = (misses[replica.name] or 0) + (problem == "timeout" and 1 or MOST_MISSES)
    return misses[replica.name] < MOST_MISSES
end

local function look_at(replica)
    if members.is_failing(replica) then
        if answers_health(replica) then
            misses[replica.name] = 0
            members.mark_healthy(replica)
        end
    elseif not can_be_reached(replica) then
        members.mark_failing(replica)
    end
end

-- All at once, so that one that hangs delays no other.
function probe.all()
    if busy then
        return
    end
    busy = true
    local threads = {}
    for _, replica in pairs(fleet.replicas) do
        threads[#threads + 1] = ngx.thread.spawn(look_at, replica)
    end
    for _, thread in ipairs(threads) do
        ngx.thread.wait(thread)
    end
    busy = false
end

return probe
