--- `moonbox posture ID`.
local M = {
  about = "compares what runs of a sandbox with what its plan asks for, process by process",
  usage = "moonbox posture [--json] ID",
  options = { { "--json", "as JSON, one process a line" } },
}

local DIFFERS, NOT_THERE = 1, 125

-- Names and paths in it are the tenant's choice.
local function text(one)
  local line = require("moonbox.sanitise").line
  local out = { line(("%-10s %s (%s): %s"):format(one.kind, one.name, one.pid,
    #one.differences == 0 and "as planned" or "NOT as planned")) }
  for _, difference in ipairs(one.differences) do
    out[#out + 1] = line(("  %s is %s, not %s"):format(difference.field, difference.found, difference.expected))
  end
  if #one.unread > 0 then out[#out + 1] = line("  not for you to read: " .. table.concat(one.unread, ", ")) end
  return table.concat(out, "\n") .. "\n"
end

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id = by_id.parse(M, args, { json = "flag" })
  if not options then return id end
  local box, refused = by_id.open(id)
  if not box then return refused end
  local list, message = box:posture()
  if not list then return by_id.fail(NOT_THERE, message) end
  local code = 0
  for _, one in ipairs(list) do
    if #one.differences > 0 then code = DIFFERS end
    if options.json then by_id.json(one) else by_id.print(text(one)) end
  end
  return code
end

return M
