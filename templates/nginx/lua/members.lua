-- Which replicas take new requests: those in the ring (an operator's or a deployment's word, which survives a restart)
-- that are not failing (what the gateway itself sees, which does not).
local fleet = require("fleet")
local shared = ngx.shared.fleet_members

local members = {}

local function note_of(name)
    return fleet.settings.state_folder .. "/out/" .. name
end

-- A file for each replica that is out, written beside and renamed. It holds the address that is awaited, if any.
local function write_note(name, awaited)
    local path = note_of(name)
    local file, problem = io.open(path .. ".new", "w")
    if not file then
        return nil, problem
    end
    file:write(awaited)
    file:close()
    return os.rename(path .. ".new", path)
end

-- At each load: what the notes say is taken over, and whoever was awaited at an address that is known now is in again.
function members.load()
    for name, replica in pairs(fleet.replicas) do
        local file = io.open(note_of(name), "r")
        local awaited = file and file:read("*a")
        if file then
            file:close()
        end
        if awaited and awaited ~= replica.address then
            shared:set("out:" .. name, awaited)
        else
            shared:delete("out:" .. name)
        end
    end
end

function members.in_ring(replica)
    return shared:get("out:" .. replica.name) == nil
end

function members.is_failing(replica)
    return shared:get("failing:" .. replica.name) ~= nil
end

function members.is_usable(replica)
    return members.in_ring(replica) and not members.is_failing(replica)
end

-- True, or nil and why it could not be written down: an answer of `done` must survive a restart.
function members.take_out(replica)
    local written, problem = write_note(replica.name, "")
    if not written then
        return nil, problem
    end
    shared:set("out:" .. replica.name, "")
    return true
end

-- With an address that the pools do not know yet, the replica stays out until a load that knows it.
function members.take_in(replica, address)
    if address and address ~= replica.address then
        local written, problem = write_note(replica.name, address)
        if not written then
            return nil, problem
        end
        shared:set("out:" .. replica.name, address)
        return true
    end
    os.remove(note_of(replica.name))
    shared:delete("out:" .. replica.name)
    return true
end

function members.mark_failing(replica)
    if shared:add("failing:" .. replica.name, true) then
        ngx.log(ngx.WARN, "replica ", replica.name, " at ", replica.address, " cannot be reached: it gets no requests")
    end
end

function members.mark_healthy(replica)
    if members.is_failing(replica) then
        shared:delete("failing:" .. replica.name)
        ngx.log(ngx.WARN, "replica ", replica.name, " at ", replica.address, " answers again")
    end
end

return members
