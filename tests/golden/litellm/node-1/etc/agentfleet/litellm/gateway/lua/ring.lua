-- nginx's own consistent hash ring (`hash KEY consistent`), to the bit: 160 points for each replica on a circle of 2^32.
-- A replica's points are a chain, each the CRC-32 of host, a zero byte, port and the point before it (four bytes,
-- little-endian, zero at first). A key belongs to the first point at or above its own CRC-32.
local bit = require("bit")

local POINTS = 160 -- a constant of nginx's source, for a weight of 1

local Ring = {}
Ring.__index = Ring

local function little_endian(number)
    return string.char(
        bit.band(number, 255),
        bit.band(bit.rshift(number, 8), 255),
        bit.band(bit.rshift(number, 16), 255),
        bit.rshift(number, 24)
    )
end

-- The ring of the members of a list, each with `host` and `port` as they stand in the plan.
local function build(members)
    local owner_of, points = {}, {}
    for _, member in ipairs(members) do
        local start, point = member.host .. "\0" .. member.port, 0
        for _ = 1, POINTS do
            point = ngx.crc32_long(start .. little_endian(point))
            if not owner_of[point] then -- of two that share a point the one named first keeps it
                owner_of[point] = member
                points[#points + 1] = point
            end
        end
    end
    table.sort(points)
    local owners = {}
    for index, point in ipairs(points) do
        owners[index] = owner_of[point]
    end
    return setmetatable({ points = points, owners = owners, size = #members }, Ring)
end

local function first_at_or_above(points, hash)
    local low, high = 1, #points + 1
    while low < high do
        local middle = math.floor((low + high) / 2)
        if points[middle] < hash then
            low = middle + 1
        else
            high = middle
        end
    end
    return low > #points and 1 or low
end

-- An iterator over the members in the order in which nginx would try them for this key, a member once.
function Ring:walk(key)
    local owners, count, size = self.owners, #self.owners, self.size
    local index, seen, found = first_at_or_above(self.points, ngx.crc32_long(key)), {}, 0
    return function()
        while found < size do
            local owner = owners[index]
            index = index < count and index + 1 or 1
            if not seen[owner] then
                seen[owner], found = true, found + 1
                return owner
            end
        end
    end
end

-- Share of all possible keys that belongs to each member, by name, when the members that `counts` refuses are passed over.
function Ring:shares(counts)
    local points, owners, shares, alive = self.points, self.owners, {}, {}
    for index, owner in ipairs(owners) do
        shares[owner.name] = 0
        if counts(owner) then
            alive[#alive + 1] = index
        end
    end
    local before = #alive > 0 and points[alive[#alive]] - 4294967296
    for _, index in ipairs(alive) do
        local name = owners[index].name
        shares[name] = shares[name] + (points[index] - before) / 4294967296
        before = points[index]
    end
    return shares
end

return { build = build }
