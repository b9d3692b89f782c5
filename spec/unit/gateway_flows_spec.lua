-- The gateway's log of flows (core/gateway/flows.c): it has an end, and whoever reaches it reaches nothing more.
local gateway = require "support.gateway"
local json = require "moonbox.json"

local ffi = require "ffi"

ffi.cdef [[ int open(const char *path, int flags, ...); ]]

local O_WRONLY, O_CREAT, O_APPEND = 1, 64, 1024

describe("a log of flows", function()
  local path, fd
  before_each(function()
    path = os.tmpname()
    fd = ffi.C.open(path, O_WRONLY + O_CREAT + O_APPEND, ffi.cast("int", 384))
    assert(fd >= 0)
  end)
  after_each(function()
    ffi.C.close(fd)
    os.remove(path)
  end)

  local function lines()
    local handle, out = assert(io.open(path)), {}
    local text = handle:read("*a")
    handle:close()
    for line in text:gmatch("[^\n]*\n") do out[#out + 1] = assert(json.decode(line)) end
    return out, #text, text:sub(-1)
  end

  it("takes so many bytes and not one more, in whole lines, and says when it is full", function()
    local log, added = gateway.flows(fd, 100000), 0
    for i = 1, 5000 do
      log.add("name" .. i .. ".test", true, 1)
      if log.ok() then added = i end
    end
    log.flush(2)
    local written, size, last = lines()
    assert.is_false(log.ok())
    assert.is_true(added > 300 and added < 5000)
    assert.equal(added, #written)
    assert.equal("name" .. added .. ".test", written[added].name)
    assert.is_true(size <= 100000 and size > 99000, tostring(size))
    assert.equal("\n", last)
  end)

  it("joins equal refusals of a second, and others as far as it has room for them", function()
    local log = gateway.flows(fd, 1e6)
    for _ = 1, 100000 do log.add("door.test", false, 1) end
    for _ = 1, 10 do log.add("door.test", false, 2.5) end
    log.flush(3)
    local counts = {}
    for i, line in ipairs((lines())) do counts[i] = line.count or 1 end
    assert.same({ 1, 99999, 1, 9 }, counts)
    assert.is_true(log.ok())
  end)

  it("ends when it can't be written", function()
    local full = ffi.C.open("/dev/full", O_WRONLY)
    local log = gateway.flows(full, 1e6)
    log.add("name.test", true, 1)
    assert.is_true(log.ok())
    log.flush(1)
    assert.is_false(log.ok())
    ffi.C.close(full)
  end)
end)
