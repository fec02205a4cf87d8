-- Which replicas take new requests: those in the ring (an operator's or a deployment's word, which survives a restart)
-- that are not failing (what the gateway itself sees, which does not).
local fleet = require("fleet")
local shared = ngx.shared.fleet_members

local members = {}

local function note_of(name)
    return fleet.settings.state_folder .. "/out/" .. name
end

-- Notes: a file for each replica that is out, which says who took it out; and NAME.at for each that answers at another
-- address than the pools say, because their file is only changed when all replicas are done: `NEW OLD`.
local function write_note(name, note)
    local path = note_of(name)
    local file, problem = io.open(path .. ".new", "w")
    if not file then
        return nil, problem
    end
    file:write(note, "\n")
    file:close()
    return os.rename(path .. ".new", path)
end

local function read_note(name)
    local file = io.open(note_of(name), "r")
    local note = file and file:read("*l")
    if file then
        file:close()
    end
    return note
end

local function forget_address(name)
    os.remove(note_of(name .. ".at"))
    shared:delete("at:" .. name)
    return true
end

-- True, or nil and why not. The ring stays as the pools say until they say otherwise, so that no session moves twice.
local function learn_address(replica, address)
    if not address or address == replica.address then
        return forget_address(replica.name)
    end
    if not address:match("^%d+%.%d+%.%d+%.%d+:%d+$") then
        return nil, address .. " is no IPv4 address and port"
    end
    local written, problem = write_note(replica.name .. ".at", address .. " " .. replica.address)
    if written then
        shared:set("at:" .. replica.name, address)
    end
    return written, problem
end

-- Whoever brings it in has seen it work: that it was away during the change is no reason to wait for the next look.
local function drop_note(name)
    os.remove(note_of(name))
    shared:delete("failing:" .. name)
    shared:delete("out:" .. name)
    return true
end

-- At each load: what the notes say is taken over. An address that was learnt counts until the pools' own has changed.
function members.load()
    for name, replica in pairs(fleet.replicas) do
        local by = read_note(name)
        if by then
            shared:set("out:" .. name, by)
        else
            shared:delete("out:" .. name)
        end
        local address, before = (read_note(name .. ".at") or ""):match("^(%S+) (%S+)$")
        if before == replica.address then
            shared:set("at:" .. name, address)
        else
            forget_address(name)
        end
    end
end

-- Where it answers now.
function members.address_of(replica)
    return shared:get("at:" .. replica.name) or replica.address
end

-- The same as a number and a port, as sockets ask for them.
function members.peer_of(replica)
    local ip, port = (shared:get("at:" .. replica.name) or ""):match("^(.+):(%d+)$")
    if ip then
        return ip, tonumber(port)
    end
    return replica.ip, replica.port_number
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

-- Who took it out: nil for one that is in.
function members.out_by(replica)
    return shared:get("out:" .. replica.name)
end

-- True, or nil and why it could not be written down: an answer of `done` must survive a restart. Whom an operator took
-- out, nobody else's change brings back.
function members.take_out(replica, by)
    if members.out_by(replica) == "operator" then
        return true
    end
    local written, problem = write_note(replica.name, by)
    if written then
        shared:set("out:" .. replica.name, by)
    end
    return written, problem
end

-- True, or nil and why not. Its address is learnt at once: it is ready there.
function members.take_in(replica, address, by)
    local learnt, problem = learn_address(replica, address)
    if not learnt then
        return nil, problem
    end
    if members.out_by(replica) == "operator" and by ~= "operator" then
        return true
    end
    return drop_note(replica.name)
end

function members.mark_failing(replica)
    if shared:add("failing:" .. replica.name, true) then
        ngx.log(ngx.WARN, "replica ", replica.name, " at ", members.address_of(replica), " cannot be reached: it gets no requests")
    end
end

function members.mark_healthy(replica)
    if members.is_failing(replica) then
        shared:delete("failing:" .. replica.name)
        ngx.log(ngx.WARN, "replica ", replica.name, " at ", members.address_of(replica), " answers again")
    end
end

return members
