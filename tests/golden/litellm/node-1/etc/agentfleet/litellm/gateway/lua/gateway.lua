-- The phases of a request, in their order. What must outlast an error page is kept in nginx's variables ($fleet_...),
-- because ngx.ctx does not; the in-flight count above all.
local balancer = require("ngx.balancer")
local answers = require("answers")
local choose = require("choose")
local fleet = require("fleet")
local inflight = require("inflight")
local members = require("members")
local metrics = require("metrics")
local probe = require("probe")
local request = require("request")
local sessions = require("sessions")

local BUSY = -3 -- NGX_BUSY, the only refusal of a balancer that nginx turns into a 502; others are a 500
local SWEEP_S = 1
local RECONCILE_S = 5

local gateway = {}

function gateway.load(folder, run_folder)
    fleet.load(folder, run_folder)
    members.load()
end

local function every(seconds, work)
    local started, problem = ngx.timer.every(seconds, function(ending)
        if not ending then
            work()
        end
    end)
    if not started then
        ngx.log(ngx.ERR, "no timer: ", problem)
    end
end

function gateway.start_worker()
    inflight.start_worker()
    if ngx.worker.id() == 0 then
        every(SWEEP_S, sessions.sweep)
        every(RECONCILE_S, inflight.reconcile)
        every(probe.EVERY_S, probe.all)
    end
end

-- Who asks, for which pool, in which session. Engines know one key alone: the client's is replaced.
function gateway.access()
    local client = request.client()
    if not client then
        return answers.unauthorized()
    end
    local var = ngx.var
    local pool = request.pool(var.fleet_named_pool)
    var.fleet_client, var.fleet_pool = client, pool.name
    if not choose.is_possible(pool) then
        ngx.header["Retry-After"] = "1"
        return answers.fail(503)
    end
    var.fleet_session = request.session(client) or ""
    ngx.req.set_header("Authorization", fleet.engine_authorization)
end

function gateway.models()
    local client, named = request.client(), ngx.var.fleet_named_pool
    if not client then
        return answers.unauthorized()
    end
    ngx.var.fleet_client = client
    if named == "" then
        return answers.models(fleet.served_names)
    end
    return answers.models({ request.pool(named).served_name })
end

local function send_to(replica)
    local var = ngx.var
    if var.fleet_replica ~= "" then
        inflight.leave(var.fleet_replica)
    end
    var.fleet_replica = replica.name
    inflight.enter(replica)
    local done, problem = balancer.set_current_peer(members.peer_of(replica))
    if not done then
        ngx.log(ngx.ERR, "cannot choose ", members.address_of(replica), ": ", problem)
        return ngx.exit(ngx.HTTP_INTERNAL_SERVER_ERROR)
    end
end

local function first_choice(context, pool, session)
    local replica, affinity
    if session then
        replica, affinity = choose.for_session(pool, session)
    else
        replica, affinity = choose.least_loaded(pool), "none"
    end
    if not replica then
        return ngx.exit(BUSY)
    end
    ngx.var.fleet_affinity = affinity
    context.tried = { [replica] = true }
    balancer.set_more_tries(#pool.replicas - 1)
    send_to(replica)
end

-- nginx comes here again only when the chosen replica got nothing of the request, so that nothing is computed twice.
local function next_choice(context, pool, session)
    local failed = fleet.replicas[ngx.var.fleet_replica]
    members.mark_failing(failed)
    local replica = choose.next_after_failure(pool, session, context.tried)
    if not replica then
        return ngx.exit(BUSY)
    end
    context.tried[replica] = true
    if session and ngx.var.fleet_affinity ~= "new" then
        ngx.var.fleet_affinity = "moved"
    end
    send_to(replica)
end

function gateway.balance()
    local context, var = ngx.ctx, ngx.var
    local pool = fleet.pools[var.fleet_pool]
    local session = var.fleet_session ~= "" and var.fleet_session or nil
    if context.tried then
        return next_choice(context, pool, session)
    end
    return first_choice(context, pool, session)
end

-- nginx runs this once for each request, however it ended.
function gateway.log()
    local var = ngx.var
    local name = var.fleet_replica
    if not name or name == "" then
        return metrics.count_answer_of_the_edge(ngx.status)
    end
    inflight.leave(name)
    local replica = fleet.replicas[name]
    if var.fleet_session ~= "" then
        sessions.renew(fleet.pools[replica.pool], var.fleet_session, replica)
    end
    if metrics.could_not_connect(var) then
        members.mark_failing(replica)
    end
    metrics.count(replica, var)
end

return gateway
