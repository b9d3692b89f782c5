--- A part of spec/bench/bench.lua: 200 sandboxes by id at once, how long each takes and how much memory (the proportional
-- share, PSS of proc(5)) each has on the host.
local core = require "moonbox.core"
local moonbox = require "moonbox"
local process = require "moonbox.process"

local sys = core.sys

local M = {}

local COUNT, POLICIES = 200, { "offline", "codex" }

local function each(list, work)
  local began = sys.monotonic()
  for i = 1, COUNT do list[i] = work(list[i]) end
  return (sys.monotonic() - began) / COUNT * 1000
end

local function share(pid)
  return tonumber((process.read(pid, "smaps_rollup") or ""):match("\nPss:%s*(%d+)")) or 0
end

-- kB of a sandbox's processes by the names that they give themselves; those that hide from an ordinary user are 0.
local function shares(list)
  local out, tree = {}, process.children()
  local function add(pid)
    local name = (process.read(pid, "comm") or "?"):match("%S+")
    out[name] = (out[name] or 0) + share(pid) / COUNT
    for _, child in ipairs(tree[pid] or {}) do add(child) end
  end
  for _, made in ipairs(list) do add(("%d"):format(require("moonbox.sandboxes").read(made.path).pid)) end
  return out
end

local function report(policy)
  local plan, list = assert(require("moonbox.plan").load(policy)), {}
  local create = each(list, function() return assert(moonbox.create { plan = plan }) end)
  local exec = each(list, function(made)
    assert(assert(made:exec { run = { "/bin/true" } }).code == 0)
    return made
  end)
  local names = {}
  for name, kB in pairs(shares(list)) do names[#names + 1] = ("%s %.0f kB"):format(name, kB) end
  table.sort(names)
  local destroy = each(list, function(made) assert(made:destroy()) end)
  print(("  %d sandboxes of %s at once: create %.1f ms, exec %.1f ms, destroy %.1f ms each; PSS of one: %s"):format(COUNT,
    policy, create, exec, destroy, table.concat(names, ", ")))
end

function M.run()
  for _, policy in ipairs(POLICIES) do report(policy) end
end

return M
