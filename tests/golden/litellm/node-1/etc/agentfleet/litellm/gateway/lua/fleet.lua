-- What the files say: pools and replicas, settings, and the keys of clients and engines. Read once at each load of the
-- configuration, by the master, so that a bad file is refused while the old configuration goes on.
local cjson = require("cjson.safe")
local ring = require("ring")

local fleet = { settings = {}, pools = {}, pool_names = {}, replicas = {}, by_id = {}, clients = {}, client_count = 0 }

local function read(path)
    local file, problem = io.open(path, "r")
    if not file then
        error(problem, 0)
    end
    local text = file:read("*a")
    file:close()
    return text
end

local function read_json(path)
    local value, problem = cjson.decode(read(path))
    if not value then
        error(path .. ": " .. problem, 0)
    end
    return value
end

-- The balancer takes addresses alone. Only the master resolves, at a load, where it may wait.
local function resolved(host)
    if host:match("^%d+%.%d+%.%d+%.%d+$") then
        return host
    end
    local pipe = io.popen("getent ahostsv4 " .. host)
    local address = pipe and pipe:read("*l")
    if pipe then
        pipe:close()
    end
    if not address then
        error("no address is known for " .. host, 0)
    end
    return (address:match("^%S+"))
end

local function add_pool(pool)
    for _, replica in ipairs(pool.replicas) do
        replica.host, replica.port = replica.address:match("^(.+):(%d+)$")
        replica.ip, replica.port_number = resolved(replica.host), tonumber(replica.port)
        replica.pool = pool.name
        -- A number of fixed width, so that a session's entry can always be changed in place.
        replica.id = ngx.crc32_long(replica.name)
        if fleet.by_id[replica.id] then
            error("replicas " .. replica.name .. " and " .. fleet.by_id[replica.id].name .. " cannot be told apart", 0)
        end
        fleet.by_id[replica.id], fleet.replicas[replica.name] = replica, replica
    end
    pool.ring = ring.build(pool.replicas)
    fleet.pools[pool.name] = pool
    fleet.pool_names[#fleet.pool_names + 1] = pool.name
end

-- Lines of `engine KEY` and `client NAME KEY`: a key may hold whatever a header can.
local function add_keys(text)
    for line in text:gmatch("[^\n]+") do
        local engine_key = line:match("^engine (.+)$")
        local name, key = line:match("^client (%S+) (.+)$")
        if engine_key then
            fleet.engine_authorization = "Bearer " .. engine_key
        elseif name and not fleet.clients[key] then
            fleet.clients[key], fleet.client_count = name, fleet.client_count + 1
        end
    end
    if not fleet.engine_authorization or fleet.client_count == 0 then
        error("the file of secrets holds no key", 0)
    end
end

-- Which pool answers for a served name; the front pool before others that serve the same.
local function add_names(front_pool)
    local front = fleet.pools[front_pool]
    fleet.front_pool, fleet.by_served_name, fleet.served_names = front, { [front.served_name] = front }, { front.served_name }
    for _, name in ipairs(fleet.pool_names) do
        local served = fleet.pools[name].served_name
        if not fleet.by_served_name[served] then
            fleet.by_served_name[served] = fleet.pools[name]
            fleet.served_names[#fleet.served_names + 1] = served
        end
    end
end

function fleet.load(folder, run_folder)
    fleet.settings = read_json(folder .. "/settings.json")
    local pools = read_json(folder .. "/pools.json")
    for _, pool in ipairs(pools.pools) do
        add_pool(pool)
    end
    add_names(pools.front_pool)
    add_keys(read(run_folder .. "/secrets"))
end

return fleet
