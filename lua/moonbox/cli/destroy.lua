--- `moonbox destroy ID…`.
local M = {
  about = "ends sandboxes at once and removes their records",
  usage = "moonbox destroy ID…",
  options = {},
}

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, ids = require("moonbox.cli.options").parse(args, {})
  if not options then return by_id.fail(by_id.USAGE, ids) end
  if #ids == 0 then return by_id.fail(by_id.USAGE, "destroy needs an id; usage: " .. M.usage) end
  local result = 0
  for _, id in ipairs(ids) do
    local code = by_id.call(id, "destroy")
    if result == 0 then result = code end
  end
  return result
end

return M
