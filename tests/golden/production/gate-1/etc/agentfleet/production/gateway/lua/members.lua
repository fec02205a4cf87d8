-- Which replicas take new requests: those in the ring (an operator's or a deployment's word, which survives a restart)
-- that are not failing (what the gateway itself sees, which does not).
local fleet = require("fleet")
local shared = ngx.shared.fleet_members

local members = {}

local function note_of(name)
    return fleet.settings.state_folder .. "/out/" .. name
end

-- A file for each replica that is out, written beside and renamed: who took it out, or `awaits HOST:PORT` for one that
-- is in as soon as the pools know it at that address.
local function write_note(name, note)
    local path = note_of(name)
    local file, problem = io.open(path .. ".new", "w")
    if not file then
        return nil, problem
    end
    file:write(note, "\n")
    file:close()
    local renamed, why = os.rename(path .. ".new", path)
    if renamed then
        shared:set("out:" .. name, note)
    end
    return renamed, why
end

-- Whoever brings it in has seen it work: that it was away during the change is no reason to wait for the next look.
local function drop_note(name)
    os.remove(note_of(name))
    shared:delete("failing:" .. name)
    shared:delete("out:" .. name)
    return true
end

-- At each load: what the notes say is taken over, and whoever was awaited at an address that is known now is in again.
function members.load()
    for name, replica in pairs(fleet.replicas) do
        local file = io.open(note_of(name), "r")
        local note = file and file:read("*l")
        if file then
            file:close()
        end
        if note and note ~= "awaits " .. replica.address then
            shared:set("out:" .. name, note)
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

-- Who took it out: nil for one that is in, or that only waits for its address.
function members.out_by(replica)
    local note = shared:get("out:" .. replica.name)
    return note and not note:find("^awaits ") and note or nil
end

-- True, or nil and why it could not be written down: an answer of `done` must survive a restart. Whom an operator took
-- out, nobody else's change brings back.
function members.take_out(replica, by)
    if members.out_by(replica) == "operator" then
        return true
    end
    return write_note(replica.name, by)
end

-- With an address that the pools do not know yet, the replica stays out until a load that knows it.
function members.take_in(replica, address, by)
    if members.out_by(replica) == "operator" and by ~= "operator" then
        return true
    end
    if address and address ~= replica.address then
        return write_note(replica.name, "awaits " .. address)
    end
    return drop_note(replica.name)
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
