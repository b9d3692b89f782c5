--- `moonbox network ID set POLICY`.
local M = {
  about = "gives a running sandbox the network rows of another policy",
  usage = "moonbox network ID set POLICY",
  options = {},
}

local BAD_POLICY = 65

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id, rest = by_id.parse(M, args, {}, 2)
  if not options then return id end
  if rest[2] ~= "set" then return by_id.fail(by_id.USAGE, "usage: " .. M.usage) end
  local plan, diagnostics = require("moonbox.plan").load(rest[3])
  if not plan then
    for _, d in ipairs(diagnostics) do
      require("moonbox.core").sys.write(2, require("moonbox.policy").format(d) .. "\n")
    end
    return BAD_POLICY
  end
  return by_id.call(id, "set_network", plan)
end

return M
