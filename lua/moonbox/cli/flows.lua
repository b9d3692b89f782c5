--- `moonbox flows TASK`: what the sandboxes of a task reached and what they were refused.
local M = {
  about = "shows what a task reached over the network and what it was refused",
  usage = "moonbox flows [--denied] [--host NAME] [--json] [-f] TASK",
  options = {
    { "TASK", "a task's id, as `moonbox run` and `moonbox exec` say it, or `last`; or a sandbox's" },
    { "--denied", "only what was refused" },
    { "--host NAME", "only flows with this name, address, or names below `*.name`" },
    { "--json", "prints the lines as they were recorded, one JSON object a line" },
    { "-f, --follow", "goes on until the task has ended" },
  },
}

local KINDS = { denied = "flag", host = "value", json = "flag", follow = "flag" }
local USAGE, NOTHING = 64, 69
local WAIT = 0.2

local function sys() return require("moonbox.core").sys end

local function fail(code, text) return require("moonbox.tell").fail(code, text) end

-- Whether a flow is with what --host asks for.
local function host_filter(text)
  local names = require "moonbox.names"
  local wanted, why = names.parse(text)
  if not wanted then return nil, ('--host: "%s" %s'):format(text, why) end
  return function(flow)
    for _, given in ipairs { flow.name or false, flow.address or false } do
      local parsed = given and names.parse(given)
      if parsed and names.covers(wanted, parsed) and (not wanted.port or wanted.port == flow.port) then return true end
    end
    return false
  end
end

local COLUMNS = { 12, 9, 7, 34, 15, 9, 9 }

local function row(cells)
  local out = {}
  for i, cell in ipairs(cells) do
    local width = COLUMNS[i] or 0
    out[i] = cell .. (" "):rep(width - #cell)
  end
  return (table.concat(out, "  "):gsub("%s+$", "")) .. "\n"
end

local HEAD = row { "TIME", "STEP", "VERDICT", "NAME", "ADDRESS", "UP", "DOWN", "WHY" }

-- What a flow came to, in a few words.
local function why(flow)
  local parts = {}
  if flow.open then parts[1] = "opened" end
  if flow.event == "warning" then parts[1] = "warning" end
  if flow.event == "dns" then parts[1] = "DNS " .. (flow.type or "") end
  if flow.outcome and flow.outcome ~= "closed" and flow.outcome ~= "denied" then parts[#parts + 1] = flow.outcome end
  if flow.reason then parts[#parts + 1] = flow.reason end
  if flow.sni and flow.sni ~= flow.name then parts[#parts + 1] = "SNI " .. flow.sni end
  if flow.rule then parts[#parts + 1] = flow.rule == "built in" and "built-in rule" or flow.rule end
  local text = table.concat(parts, ", ")
  return (flow.count or 1) > 1 and ("%s (%d times)"):format(text, flow.count) or text
end

--- A flow as a line of the table: UTC time, step, verdict, name, address, bytes and why.
function M.line(flow)
  local flows, line = require "moonbox.flows", require("moonbox.sanitise").line
  local function bytes(n) return n and flows.size(n) or "" end
  local seconds = flow.time and flow.time >= 0 and flow.time < 2 ^ 40 and flow.time or 0
  local name = flows.at(flow.name or flow.address or "", flow.port, flow.protocol)
  if flow.direction == "in" then name = ("published :%d"):format(flow.port or 0) end
  local cells = { os.date("!%H:%M:%S", math.floor(seconds)) .. (".%03d"):format(math.floor(seconds % 1 * 1000)),
    flow.step or "", flow.verdict, name, flow.address or "", bytes(flow.up), bytes(flow.down), why(flow) }
  for i, cell in ipairs(cells) do cells[i] = line(cell) end
  return row(cells)
end

local function newest(root)
  local ids = {}
  for _, id in ipairs(sys().list(root .. "/tasks") or {}) do
    if require("moonbox.task").valid(id) then ids[#ids + 1] = id end
  end
  table.sort(ids)
  return ids[#ids]
end

-- The directory of the task that an argument means, or nil and a sentence.
local function task_directory(argument)
  local tasks = require "moonbox.task"
  local root, message = tasks.root()
  if not root then return nil, message end
  local id = argument == "last" and newest(root) or argument
  local sandboxes = require "moonbox.sandboxes"
  local by_id = argument ~= "last" and sandboxes.valid(id) and sandboxes.dir(id, root)
  if by_id and sys().stat(by_id) then return by_id end
  if not tasks.valid(id) then
    return nil, argument == "last" and "there is no task yet"
      or argument .. " is no task's id; ids look like 20250131-235959-0a1b2c, and `last` is the newest task"
  end
  if not sys().stat(tasks.dir(root, id)) then return nil, "there is no task " .. id .. " in " .. root .. "/tasks" end
  return tasks.dir(root, id)
end

-- Whether nobody runs the task any more: its lock is gone, or was left by a moonbox that was killed.
local function ended(directory)
  if not sys().lstat(directory .. "/lock") then return true end
  local lock = sys().lock(directory .. "/lock")
  if lock then lock:close() end
  return lock ~= nil
end

local function show(directory, options, wanted)
  local output = require "moonbox.output"
  local flows = require "moonbox.flows"
  local path, reader, head = directory .. "/flows.jsonl", nil, false
  local over = not options.follow
  while true do
    reader = reader or flows.open(path)
    for flow, line in function() if reader then return reader:next() end end do
      if wanted(flow) then
        if not head and not options.json then output.print(HEAD) end
        head = true
        if not output.print(options.json and line .. "\n" or M.line(flow)) then return reader, head end
      end
    end
    if over then return reader, head end
    -- One more look after the end: the last lines come just before it.
    over = ended(directory)
    if not over then sys().sleep(WAIT) end
  end
end

function M.run(args)
  local given = {}
  for i, argument in ipairs(args) do given[i] = argument == "-f" and "--follow" or argument end
  local options, rest = require("moonbox.cli.options").parse(given, KINDS)
  if not options then return fail(USAGE, rest) end
  if #rest ~= 1 then return fail(USAGE, "flows needs one task; usage: " .. M.usage) end
  local of_host, message = function() return true end, nil
  if options.host then of_host, message = host_filter(options.host) end
  if not of_host then return fail(USAGE, message) end
  local directory
  directory, message = task_directory(rest[1])
  if not directory then return fail(USAGE, message) end
  local reader, any = show(directory, options, function(flow)
    return (not options.denied or flow.verdict == "deny") and of_host(flow)
  end)
  if not reader then
    return fail(NOTHING, "the task has no flows: its policy gives no network, or it was never started")
  end
  if reader.unread > 0 then fail(0, ("%d lines of the record could not be read"):format(reader.unread)) end
  reader:close()
  if not any and not options.json then fail(0, "no flow is like that") end
  return 0
end

return M
