-- Counts of finished requests, as JSON for the status and as a Prometheus page.
local cjson = require("cjson.safe")
local fleet = require("fleet")
local inflight = require("inflight")
local members = require("members")
local sessions = require("sessions")
local counters = ngx.shared.fleet_counters

local AFFINITIES = { "home", "kept", "spilled", "moved", "new", "none" }
local CLASSES = { "2xx", "3xx", "4xx", "5xx" }
local EDGE_STATUSES = { 200, 400, 401, 404, 405, 408, 413, 414, 499, 500, 502, 503, 504 }
local BUCKETS_S = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300 }

local metrics = {}

local function add(key, change)
    counters:incr(key, change or 1, 0)
end

local function value(key)
    return counters:get(key) or 0
end

-- nginx lists each try: "-" where no connection came about, a status of its own where no answer did.
function metrics.could_not_connect(var)
    local connect_times, statuses = var.upstream_connect_time, var.upstream_status
    return connect_times ~= nil
        and connect_times:sub(-1) == "-"
        and statuses ~= nil
        and (statuses:sub(-3) == "502" or statuses:sub(-3) == "504")
end

local function count_first_byte(pool, seconds)
    add("first_byte_sum:" .. pool, seconds)
    add("first_byte_count:" .. pool)
    for index, most in ipairs(BUCKETS_S) do
        if seconds <= most then
            return add("first_byte:" .. pool .. ":" .. index)
        end
    end
end

function metrics.count(replica, var)
    local status = ngx.status
    local class = math.floor(status / 100) .. "xx"
    add("requests:" .. replica.name)
    add("requests:" .. replica.name .. ":" .. var.fleet_affinity .. ":" .. class)
    if status >= 500 then
        add("errors:" .. replica.name)
    elseif var.request_completion == "" then
        add("cut:" .. replica.name)
    end
    local first_byte_s = tonumber((var.upstream_header_time or ""):match("([%d.]+)$"))
    if first_byte_s then
        count_first_byte(replica.pool, first_byte_s)
    end
end

function metrics.count_answer_of_the_edge(status)
    add("edge:" .. status)
end

local function of_affinity(replica, affinity)
    local sum = 0
    for _, class in ipairs(CLASSES) do
        sum = sum + value("requests:" .. replica.name .. ":" .. affinity .. ":" .. class)
    end
    return sum
end

function metrics.of_replica(replica, shares)
    local found = {
        address = members.address_of(replica),
        ring = members.in_ring(replica) and "in" or "out",
        out_by = members.out_by(replica) or cjson.null,
        healthy = not members.is_failing(replica),
        in_flight = inflight.of(replica.name),
        sessions = sessions.on(replica),
        ring_share = shares[replica.name],
        max_num_seqs = replica.max_num_seqs,
        slots = replica.slots,
        requests = value("requests:" .. replica.name),
        errors = value("errors:" .. replica.name),
        cut = value("cut:" .. replica.name),
    }
    for _, affinity in ipairs(AFFINITIES) do
        found[affinity == "none" and "keyless" or affinity] = of_affinity(replica, affinity)
    end
    return found
end

function metrics.status()
    local pools = {}
    for name, pool in pairs(fleet.pools) do
        local shares, replicas = pool.ring:shares(members.is_usable), {}
        for _, replica in ipairs(pool.replicas) do
            replicas[replica.name] = metrics.of_replica(replica, shares)
        end
        pools[name] = { load_factor = fleet.settings.load_factor, served_name = pool.served_name, replicas = replicas }
    end
    return { pools = pools, unremembered_sessions = value("unremembered") }
end

local function label_text(labels)
    local words = {}
    for index, label in ipairs(labels) do
        words[index] = string.format('%s="%s"', label[1], label[2])
    end
    return table.concat(words, ",")
end

-- A page that grows by families of samples.
local Page = {}
Page.__index = Page

function Page:family(name, kind, help)
    self.name = "agentfleet_gateway_" .. name
    self[#self + 1] = "# HELP " .. self.name .. " " .. help
    self[#self + 1] = "# TYPE " .. self.name .. " " .. kind
end

function Page:sample(number, labels, suffix)
    self[#self + 1] = string.format("%s%s{%s} %.15g", self.name, suffix or "", label_text(labels), number)
end

local function each_replica(page, take)
    for _, pool_name in ipairs(fleet.pool_names) do
        for _, replica in ipairs(fleet.pools[pool_name].replicas) do
            page:sample(take(replica), { { "pool", pool_name }, { "replica", replica.name } })
        end
    end
end

local function add_requests(page)
    page:family("requests_total", "counter", "Finished requests by why their replica was chosen.")
    for name, replica in pairs(fleet.replicas) do
        for _, affinity in ipairs(AFFINITIES) do
            for _, class in ipairs(CLASSES) do
                local number = value("requests:" .. name .. ":" .. affinity .. ":" .. class)
                if number > 0 then
                    page:sample(number, {
                        { "pool", replica.pool },
                        { "replica", name },
                        { "affinity", affinity },
                        { "status", class },
                    })
                end
            end
        end
    end
end

local function add_first_bytes(page)
    page:family("time_to_first_byte_seconds", "histogram", "From connecting to a replica to its first byte.")
    for _, pool in ipairs(fleet.pool_names) do
        local sum = 0
        for index, most in ipairs(BUCKETS_S) do
            sum = sum + value("first_byte:" .. pool .. ":" .. index)
            page:sample(sum, { { "pool", pool }, { "le", tostring(most) } }, "_bucket")
        end
        page:sample(value("first_byte_count:" .. pool), { { "pool", pool }, { "le", "+Inf" } }, "_bucket")
        page:sample(value("first_byte_sum:" .. pool), { { "pool", pool } }, "_sum")
        page:sample(value("first_byte_count:" .. pool), { { "pool", pool } }, "_count")
    end
end

function metrics.page()
    local page = setmetatable({}, Page)
    add_requests(page)
    page:family("errors_total", "counter", "Requests of a replica that ended with a status of 500 or more.")
    each_replica(page, function(replica) return value("errors:" .. replica.name) end)
    page:family("cut_total", "counter", "Answers that began and were not sent to their end, by either side's doing.")
    each_replica(page, function(replica) return value("cut:" .. replica.name) end)
    page:family("in_flight", "gauge", "Requests that a replica is working on.")
    each_replica(page, function(replica) return inflight.of(replica.name) end)
    page:family("sessions", "gauge", "Sessions that are remembered on a replica.")
    each_replica(page, sessions.on)
    page:family("ring_member", "gauge", "1 while a replica is in the ring.")
    each_replica(page, function(replica) return members.in_ring(replica) and 1 or 0 end)
    page:family("replica_healthy", "gauge", "1 while a replica can be reached.")
    each_replica(page, function(replica) return members.is_failing(replica) and 0 or 1 end)
    add_first_bytes(page)
    page:family("edge_answers_total", "counter", "Requests that the gateway answered without a replica.")
    for _, status in ipairs(EDGE_STATUSES) do
        page:sample(value("edge:" .. status), { { "status", status } })
    end
    page:family("unremembered_sessions_total", "counter", "New sessions that found the gateway's memory full.")
    page:sample(value("unremembered"), {})
    return table.concat(page, "\n") .. "\n"
end

return metrics
