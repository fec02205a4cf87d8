-- What the gateway answers itself, errors in the shape of OpenAI's API.
local cjson = require("cjson.safe")
local choose = require("choose")
local fleet = require("fleet")

local answers = {}

local KINDS = {
    [401] = { "invalid_request_error", "invalid_api_key" },
    [404] = { "invalid_request_error", "not_found" },
    [405] = { "invalid_request_error", "method_not_allowed" },
    [408] = { "invalid_request_error", "request_timeout" },
    [413] = { "invalid_request_error", "request_too_large" },
    [502] = { "server_error", "replica_failed" },
    [503] = { "server_error", "no_replica" },
    [504] = { "server_error", "replica_timeout" },
}

local MESSAGES = {
    [400] = "The request is not understood.",
    [404] = "There is nothing at this path: ask below /v1 or /pools/<pool>/v1.",
    [408] = "The request did not arrive in time.",
    [413] = "The request is larger than the gateway lets through.",
    [500] = "The gateway failed.",
    [502] = "The replica failed before it answered. Nothing was computed for this request that could be used: send it again.",
    [503] = "No replica of this pool can take requests now: try again in a moment.",
    [504] = "The replica did not answer in time.",
}

local function send(status, value)
    local body = cjson.encode(value)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #body + 1
    ngx.print(body, "\n")
    return ngx.exit(ngx.HTTP_OK) -- the status was sent: this ends the request
end

answers.send = send

function answers.fail(status, message, code, param)
    local kind = KINDS[status] or { status < 500 and "invalid_request_error" or "server_error", cjson.null }
    return send(status, {
        error = {
            message = message or MESSAGES[status] or "The request failed.",
            type = kind[1],
            param = param or cjson.null,
            code = code or kind[2],
        },
    })
end

-- For errors of nginx's own.
function answers.fail_as_nginx_did()
    return answers.fail(ngx.status)
end

function answers.unauthorized()
    ngx.header["WWW-Authenticate"] = "Bearer"
    return answers.fail(401, "A valid API key is needed: Authorization: Bearer <key>.")
end

function answers.models(names)
    local data = {}
    for index, name in ipairs(names) do
        data[index] = { id = name, object = "model", created = 0, owned_by = "agentfleet" }
    end
    return send(200, { object = "list", data = data })
end

-- 200 while every pool has a replica that takes requests; else the pools that have none.
function answers.health()
    local without = {}
    for _, name in ipairs(fleet.pool_names) do
        if not choose.is_possible(fleet.pools[name]) then
            without[#without + 1] = name
        end
    end
    if #without == 0 then
        return send(200, { status = "ok" })
    end
    return send(503, { status = "unavailable", pools_without_replica = without })
end

return answers
