-- What a request says of itself: whose it is, which pool it asks for, and to which session it belongs.
local answers = require("answers")
local cjson = require("cjson.safe")
local fleet = require("fleet")

local request = {}

-- The client's name by its key, nil when the key is none of ours.
function request.client()
    local authorization = ngx.var.http_authorization
    local key = authorization and authorization:match("^[Bb]earer%s+(.-)%s*$")
    return key and fleet.clients[key]
end

-- Header, cookie, and the client where there are several; nil when nothing tells the session.
function request.session(client)
    local settings, var = fleet.settings, ngx.var
    local session = var[settings.session_header_variable]
    if session and session ~= "" then
        return session
    end
    session = var[settings.session_cookie_variable]
    if session and session ~= "" then
        return session
    end
    return fleet.client_count > 1 and client or nil
end

local function body_text()
    ngx.req.read_body()
    local text, path = ngx.req.get_body_data(), ngx.req.get_body_file()
    if path then
        local file = io.open(path, "rb")
        text = file and file:read("*a")
        if file then
            file:close()
        end
    end
    return text
end

-- The model that a JSON body names. A body may have megabytes, and decoding them would keep all other requests of this
-- worker waiting; so the key is looked for. Quotes inside a string are escaped, so `"model"` and a colon is always a key;
-- only where there are several, of which one may be nested, is the body decoded.
local function model_in(text)
    local found
    local from, to = text:find('"model"', 1, true)
    while from do
        local value = text:match('^%s*:%s*"([^"\\]*)"', to + 1)
        local is_key = value or text:match("^%s*:", to + 1)
        if is_key and (found or not value) then
            local whole = cjson.decode(text)
            return type(whole) == "table" and type(whole.model) == "string" and whole.model or nil
        end
        found = found or value
        from, to = text:find('"model"', to + 1, true)
    end
    return found
end

-- The pool by path, else by the body's model where there is more than one to choose from, else the front pool. Answers
-- the client itself when there is no such pool.
function request.pool(named)
    if named and named ~= "" then
        local pool = fleet.pools[named]
        return pool or answers.fail(404, "There is no pool " .. named .. ".", "pool_not_found")
    end
    if #fleet.served_names == 1 or ngx.req.get_method() ~= "POST" then
        return fleet.front_pool
    end
    local text = body_text()
    local model = text and model_in(text)
    if not model then
        return fleet.front_pool
    end
    return fleet.by_served_name[model]
        or answers.fail(404, "The model `" .. model .. "` does not exist.", "model_not_found", "model")
end

return request
