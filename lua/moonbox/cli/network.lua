--- `moonbox network ID set POLICY`.
local M = {
  about = "gives a running sandbox the network rows of another policy",
  usage = "moonbox network ID set POLICY [--NAME=VALUE]…",
  options = { require("moonbox.cli.options").PARAMETER },
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id, rest = by_id.parse(M, args, {}, 2, { parameters = true })
  if not options then return id end
  if rest[2] ~= "set" then return by_id.fail(by_id.USAGE, "usage: " .. M.usage) end
  local plan, diagnostics = require("moonbox.plan").load(rest[3], require("moonbox.cli.options").for_plan(options, {}))
  if not plan then return require("moonbox.policy").complain(diagnostics) end
  return by_id.call(id, "set_network", plan)
end

return M
