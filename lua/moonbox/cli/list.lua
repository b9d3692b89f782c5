--- `moonbox list`: the sandboxes of this user.
local M = {
  about = "lists the sandboxes, with what they use",
  usage = "moonbox list [--json]",
  options = { { "--json", "one JSON object a line: what the record says, and `usage`" } },
}

-- Seconds that all supervisors together have to answer.
local ANSWER = 2

local function sys() return require("moonbox.core").sys end

-- Asks all that live at once, then collects.
local function with_usage(all)
  local json, sandboxes = require "moonbox.json", require "moonbox.sandboxes"
  local questions, till = {}, sys().monotonic() + ANSWER
  for i, data in ipairs(all) do
    questions[i] = data.alive and require("moonbox.core").control.ask(sandboxes.dir(data.id),
      json.encode { ask = "stats" })
  end
  for i, data in ipairs(all) do
    local text = questions[i] and questions[i]:answer(math.max(0, till - sys().monotonic()))
    local answer = text and json.decode(text)
    if type(answer) == "table" and answer.usage then
      data.usage, data.commands, data.state = answer.usage, answer.commands, answer.state
    end
  end
  return all
end

local function age(data)
  local seconds = math.max(0, sys().realtime() - (tonumber(data.created_seconds) or 0))
  for _, unit in ipairs { { 86400, "d" }, { 3600, "h" }, { 60, "m" } } do
    if seconds >= unit[1] then return ("%d%s"):format(math.floor(seconds / unit[1]), unit[2]) end
  end
  return ("%ds"):format(math.floor(seconds))
end

local COLUMNS = { 16, 12, 8, 5, 8, 9, 9 }

local function row(cells)
  local out = {}
  for i, cell in ipairs(cells) do out[i] = cell .. (" "):rep((COLUMNS[i] or 0) - #cell) end
  return (table.concat(out, "  "):gsub("%s+$", "")) .. "\n"
end

--- A sandbox as a line of the table.
function M.line(data)
  local size, use = require("moonbox.flows").size, data.usage or {}
  local network = use.network and ("%s up, %s down"):format(size(use.network.up), size(use.network.down)) or "none"
  local cells = { data.id, tostring(data.policy), data.state, age(data),
    use.cpu_seconds and ("%.1fs"):format(use.cpu_seconds) or "-", use.memory and size(use.memory) or "-",
    use.disk and size(use.disk) or "-", data.alive and network or data.sentence or "" }
  for i, cell in ipairs(cells) do cells[i] = require("moonbox.sanitise").line(cell) end
  return row(cells)
end

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, rest = require("moonbox.cli.options").parse(args, { json = "flag" })
  if not options or #rest > 0 then return by_id.fail(by_id.USAGE, options and "usage: " .. M.usage or rest) end
  local can, cannot = by_id.can_look()
  if not can then return cannot end
  local all = with_usage(require("moonbox").list())
  if not options.json and #all > 0 then
    by_id.print(row { "ID", "POLICY", "STATE", "AGE", "CPU", "MEMORY", "DISK", "NETWORK" })
  end
  for _, data in ipairs(all) do
    if options.json then by_id.json(data) else by_id.print(M.line(data)) end
  end
  return 0
end

return M
