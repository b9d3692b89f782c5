-- Probes 88 and 89: wherever a task can write, and whatever it makes of it, there is an end, inside, that is told of.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local compile = require "support.compile"
local limited = require "support.limited"

local MB = 2 ^ 20

-- 32 MB of writable files in at most 8192 files, 16 MB of each scratch directory in at most 4096 (moonbox.plan).
local ROWS = [[files = { storage = "%s", scratch { "/tmp", "/dev/shm", size = %d * MB } },
  limits = { disk = %d * MB, memory = 512 * MB, time = 120 * seconds },]]
local PLACES = { "/workspace", "/home/agent", "/tmp", "/dev/shm" }
local SCRATCH = { ["/tmp"] = true, ["/dev/shm"] = true }
local MOST = 300000

-- What is filled, and how many of it fit at most, into the writable files and into a scratch directory.
local KINDS = { bytes = { 34, 17 }, reserved = { 34, 17 }, sparse = { 8192, 4096 }, symlinks = { 8192, 4096 },
  links = { 8192, 4096 }, attributes = { 8192, 4096 }, directories = { 8192, 4096 }, files = { 8192, 4096 } }
local ERRORS = { ENOSPC = true, EDQUOT = true, EMLINK = true }

describe("what a task can write (probes 88 and 89)", function()
  setup(function()
    box.enter()
    compile.helpers("hog")
  end)
  teardown(box.leave)

  local function rows(storage, times)
    return ROWS:format(storage, 16 * (times or 1), 32 * (times or 1))
  end

  local function level(storage)
    return require("moonbox.holding").levels(assert(require("moonbox.plan").load(limited.policy(rows(storage))))).disk
  end

  -- Fills every place to its end, one after the other: { [place] = { how many, errno } }.
  local function filled(opened, kind, places, most)
    local script = {}
    for _, place in ipairs(places) do
      script[#script + 1] = ("mkdir %s/x && /opt/spec/hog fill %s %s/x %d || echo %s 0 ENOSPC"):format(place, kind, place,
        most or MOST, kind)
    end
    local outcome, out = box.inside(opened, table.concat(script, "\n")), {}
    for count, errno in (outcome.stdout or ""):gmatch(kind .. " (%d+) (%a+)\n") do
      out[places[#out + 1]], out[#out + 1] = { tonumber(count), errno }, true
    end
    assert.equal(#places, #out, (outcome.stdout or "") .. (outcome.stderr or ""))
    return out
  end

  -- In memory every filesystem is a tmpfs as the scratch directories are.
  local IN_MEMORY = { bytes = KINDS.bytes, files = KINDS.files }

  for _, storage in ipairs { "memory", "disk" } do
    for kind, most in pairs(storage == "memory" and IN_MEMORY or KINDS) do
      it(("ends, %s, for %s in every place"):format(storage == "memory" and "in memory" or "on disk", kind), function()
        -- A link needs no more than its name; who is watched ends, see below.
        local all = level(storage):match("^hard") and kind ~= "links"
        local places = all and PLACES or { "/tmp", "/dev/shm" }
        local opened = limited.open(rows(storage))
        for place, found in pairs(filled(opened, kind, places)) do
          if type(place) == "string" then
            local limit = most[SCRATCH[place] and 2 or 1]
            -- A tmpfs has no such attributes before Linux 6.6.
            if found[2] == "EOPNOTSUPP" and kind == "attributes" then found[1], found[2] = limit, "ENOSPC" end
            assert.is_true(ERRORS[found[2]] and found[1] <= limit, ("%s %d %s"):format(place, found[1], found[2]))
            -- The home directory shares with what is full already.
            if place ~= "/home/agent" then
              assert.is_true(found[1] >= limit / 8, ("%s %d"):format(place, found[1]))
            else
              assert.is_true(found[1] <= 2, ("%s %d"):format(place, found[1]))
            end
          end
        end
        assert(opened:close())
      end)
    end
  end

  it("is there for as much as it should be (control)", function()
    for kind, most in pairs(KINDS) do
      local opened = limited.open(rows("memory", 8))
      local found = filled(opened, kind, { "/workspace" }, most[1])["/workspace"]
      if kind ~= "attributes" or found[2] ~= "EOPNOTSUPP" then assert.same({ most[1], "ok" }, found, kind) end
      assert(opened:close())
    end
  end)

  -- Fills and stays, for who looks only now and then.
  local function told(storage, kind, place, limit, seconds)
    local outcome, events, path = limited.run(rows(storage),
      ("mkdir %s/x && /opt/spec/hog fill %s %s/x %d; sleep %d"):format(place, kind, place, MOST, seconds))
    return limited.violation(events, limit), outcome, path
  end

  local FULL = { bytes = "reached: writes fail$", files = "reached in files: writes fail$" }

  for _, kind in ipairs { "bytes", "files" } do
    it(("is told of where %s on disk have come to an end"):format(kind), function()
      local event, outcome, path = told("disk", kind, "/workspace", "disk", 4)
      assert.same({ path .. ":3", 32 * MB }, { event.rule, event.threshold })
      if level("disk"):match("^hard") then
        assert.equal(0, outcome.code)
        assert.matches("^disk limit of 32 MB " .. FULL[kind], event.sentence)
      else
        assert.same({ 137, "disk", true }, { outcome.code, outcome.ended_by, event.ends })
        assert.matches(kind == "files" and "^disk limit of 32 MB reached: %d+ files and directories, at most 8192"
          or "^disk limit of 32 MB reached: %d+", event.sentence)
      end
    end)
  end

  it("is told of where it is in memory", function()
    local event, outcome, path = told("memory", "bytes", "/home/agent", "disk", 7)
    assert.same({ path .. ":3", 32 * MB, 0 }, { event.rule, event.threshold, outcome.code })
    event, outcome, path = told("memory", "files", "/dev/shm", "scratch", 7)
    assert.same({ path .. ":2", 16 * MB, 0 }, { event.rule, event.threshold, outcome.code })
    assert.equal("/dev/shm is full (16 MB or 4096 files): writes fail", event.sentence)
  end)
end)
