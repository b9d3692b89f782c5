--- A step's network is never wider than its policy's: asked of the rules that the gateway runs, on many made-up pairs.
local core = require "moonbox.core"
local names = require "moonbox.names"
local plan = require "moonbox.plan"

local NAMES = { "a.org", "b.a.org", "c.b.a.org", "x.net", "y.x.net", "db", "203.0.113.7", "203.0.113.8", "10.1.2.3", "10.9.9.9" }
local PATTERNS = { "a.org", "*.a.org", "b.a.org", "*.b.a.org", "x.net", "*.x.net", "203.0.113.7", "203.0.113.0/24", "db" }
local PORTS = { 22, 80, 443 }

local seed = 1
-- Park and Miller's generator: the same cases on every run.
local function pick(n)
  seed = seed * 16807 % 2147483647
  return seed % n + 1
end

local function some_ports()
  return pick(2) == 1 and { PORTS[pick(3)], PORTS[pick(3)] } or nil
end

local function some_names(from)
  local out = {}
  for i = 1, pick(3) do
    out[i] = assert(names.parse(from[pick(#from)]))
    if pick(4) == 1 then out[i].port = PORTS[pick(3)] end
  end
  return out
end

local function some_policy()
  local rules = {}
  for i = 1, pick(5) do
    local kind = pick(5)
    local word = kind <= 3 and "allow" or kind == 4 and "deny" or "allow_internal"
    rules[i] = { word = word, from = "p.lua:" .. i, ports = some_ports(),
      names = some_names(word == "allow_internal" and { "10.1.2.3" } or PATTERNS) }
  end
  return { network = { mode = "list", otherwise = pick(4) == 1 and "allow" or "deny", from = "p.lua:9", rules = rules,
    hosts = { db = "10.1.2.3" } }, limits = { disk = 0 }, rlimits = {}, storage = { size = 0 }, mounts = {} }
end

local function some_step()
  local rows = {}
  for i = 1, pick(3) do
    rows[i] = { names = some_names { "10.1.2.3", unpack(PATTERNS) }, ports = some_ports(), file = "q.lua", line = i }
  end
  return { network = rows }
end

local place = { db = true, ["10.1.2.3"] = true }

-- Whether an `only` row of the step is about a name and a port; with `loosely` a name and its fixed address are one.
local function asked_for(step, name, port, loosely)
  local parsed = assert(names.parse(name))
  for _, row in ipairs(step.network) do
    for _, one in ipairs(row.names) do
      for _, each in ipairs((one.port and { one.port }) or row.ports or { port }) do
        local same = loosely and place[one.name] and place[name]
        if each == port and (same or names.covers(one, parsed)) then return true end
      end
    end
  end
  return false
end

describe("a step's rules", function()
  before_each(function() seed = 1 end)

  it("allow what the policy allows and the step names, and nothing else", function()
    local both, refused = 0, 0
    for case = 1, 2000 do
      local policy, step = some_policy(), some_step()
      local narrow = plan.narrow(policy, step)
      local wide, tight = assert(core.rules(policy.network)), assert(core.rules(narrow.network))
      for _, name in ipairs(NAMES) do
        for _, port in ipairs(PORTS) do
          local given, got = wide:decide(name, port).allow, tight:decide(name, port).allow
          local what = ("case %d: %s:%d"):format(case, name, port)
          if got then
            assert.is_true(given, what .. " is refused by the policy")
            assert.is_true(asked_for(step, name, port, true), what .. " is not named by the step")
            both = both + 1
          elseif given and asked_for(step, name, port) then
            error(what .. " is allowed by the policy and named by the step, and refused")
          else
            refused = refused + 1
          end
        end
      end
    end
    assert.is_true(both > 1000 and refused > 1000)
  end)
end)
