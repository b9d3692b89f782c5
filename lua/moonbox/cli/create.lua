--- `moonbox create`: a sandbox that stays, with a supervisor of its own.
local M = {
  about = "creates a sandbox that stays until it is stopped, and prints its id",
  usage = "moonbox create [--id ID] [--policy P] [--NAME=VALUE]… [--bind HOST[:INSIDE][:rw]]…",
  options = {
    { "--id ID", "lower-case letters, digits and -, at most 40; random when left out" },
    { "--policy P", "a shipped policy's name or a file; `offline` when left out" },
    require("moonbox.cli.options").PARAMETER,
    { "--bind H[:I][:rw]", "shows the host's H at I, read-only unless `:rw`; may be repeated" },
  },
}

local KINDS = { id = "value", policy = "value", bind = "list" }

function M.run(args)
  local by_id = require "moonbox.by_id"
  local parser = require "moonbox.cli.options"
  local options, rest = parser.parse(args, KINDS, { parameters = true })
  if not options then return by_id.fail(by_id.USAGE, rest) end
  if #rest > 0 then return by_id.fail(by_id.USAGE, "create takes no argument " .. rest[1] .. "; usage: " .. M.usage) end
  local plan, diagnostics = require("moonbox.plan").load(options.policy or "offline", parser.for_plan(options, KINDS))
  if not plan then return require("moonbox.policy").complain(diagnostics) end
  for _, text in ipairs(options.bind or {}) do
    local row, why = require("moonbox.bind_option").row(text)
    if not row then return by_id.fail(by_id.USAGE, why) end
    table.insert(plan.mounts, row)
  end
  local box, message, code = require("moonbox").create { plan = plan, id = options.id }
  if not box then return by_id.fail(code, message) end
  if not by_id.print(box.id .. "\n") then by_id.fail(0, "the sandbox " .. box.id .. " is running all the same") end
  return 0
end

return M
