--- `moonbox explain POLICY`: what a policy means here, and which line decided each row of it.
local M = {
  about = "says what a policy means on this host, and which line decided each row",
  usage = "moonbox explain [--json] POLICY [--NAME=VALUE]…",
  options = { { "--json", "prints { policy, about, file, extends, parameters, rows } as JSON" },
    require("moonbox.cli.options").PARAMETER },
}

local KINDS = { json = "flag" }

local function as_json(data, rows)
  local json = require "moonbox.json"
  return json.encode({ policy = data.name, about = data.about, file = data.file, extends = data.extends,
    parameters = data.parameters, rows = json.array(rows) }, { pretty = true }) .. "\n"
end

function M.run(args)
  local parser = require "moonbox.cli.options"
  local o, rest = parser.parse(args, KINDS, { parameters = true })
  if not o or #rest ~= 1 then
    return require("moonbox.tell").fail(64, o and "explain needs one policy; usage: " .. M.usage or rest)
  end
  local policy = require "moonbox.policy"
  local options = parser.for_plan(o, KINDS)
  options.lines = true
  local data, diagnostics = policy.load(rest[1], options)
  local plan
  if data then plan, diagnostics = require("moonbox.plan").compile(data) end
  if not plan then return policy.complain(diagnostics) end
  local explain = require "moonbox.explain"
  local rows = explain.rows(data, plan, require("moonbox.holding").levels(plan))
  require("moonbox.output").print(o.json and as_json(data, rows) or explain.text(data, rows))
  return 0
end

return M
