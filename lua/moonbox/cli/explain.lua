--- `moonbox explain POLICY`: what a policy means here, and which line decided each row of it.
local M = {
  about = "says what a policy means on this host, and which line decided each row",
  usage = "moonbox explain [--json] POLICY",
  options = { { "--json", "prints { policy, about, file, extends, rows } as JSON" } },
}

local function as_json(data, rows)
  local json = require "moonbox.json"
  return json.encode({ policy = data.name, about = data.about, file = data.file, extends = data.extends,
    rows = json.array(rows) }, { pretty = true }) .. "\n"
end

function M.run(args)
  local sys = require("moonbox.core").sys
  local o, rest = require("moonbox.cli.options").parse(args, { json = "flag" })
  if not o or #rest ~= 1 then
    sys.write(2, "moonbox: " .. (o and "explain needs one policy; usage: " .. M.usage or rest) .. "\n")
    return 64
  end
  local policy = require "moonbox.policy"
  local data, diagnostics = policy.load(rest[1], { lines = true })
  local plan
  if data then plan, diagnostics = require("moonbox.plan").compile(data) end
  for _, d in ipairs(plan and {} or diagnostics) do sys.write(2, policy.format(d) .. "\n") end
  if not plan then return 65 end
  local explain = require "moonbox.explain"
  local rows = explain.rows(data, plan, require("moonbox.holding").levels(plan))
  sys.write(1, o.json and as_json(data, rows) or explain.text(data, rows))
  return 0
end

return M
