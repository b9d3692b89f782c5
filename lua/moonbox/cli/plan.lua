--- `moonbox plan POLICY`: prints exactly what the C core will execute.
local M = {
  about = "prints the plan of a policy: exactly what will be executed",
  usage = "moonbox plan [--json] POLICY [--NAME=VALUE]…",
  options = { { "--json", "prints the plan as JSON (without it too: a plan has no other form)" },
    require("moonbox.cli.options").PARAMETER },
}

local KINDS = { json = "flag" }

function M.run(args)
  local parser = require "moonbox.cli.options"
  local o, rest = parser.parse(args, KINDS, { parameters = true })
  if not o or #rest ~= 1 then
    return require("moonbox.tell").fail(64, o and "plan needs one policy; usage: " .. M.usage or rest)
  end
  local plan, diagnostics = require("moonbox.plan").load(rest[1], parser.for_plan(o, KINDS))
  if not plan then return require("moonbox.policy").complain(diagnostics) end
  require("moonbox.output").print(M.text(plan))
  return 0
end

-- Lists of a plan that may be empty are lists all the same.
local lists = { hooks = true, mounts = true, rules = true, rlimits = true, capabilities = true, env = true,
  names = true }

local function marked(value, name)
  if type(value) ~= "table" then return value end
  local json = require "moonbox.json"
  local out = lists[name] and json.array {} or {}
  for k, v in pairs(value) do out[k] = marked(v, k) end
  return out
end

--- The plan as pretty JSON with sorted names, ending in a line feed.
function M.text(plan)
  return require("moonbox.json").encode(marked(plan), { pretty = true }) .. "\n"
end

return M
