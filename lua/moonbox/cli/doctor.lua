--- `moonbox doctor`: what this host allows, what to do about the rest, and which shipped policies can run.
local M = {
  about = "says what this host allows, how to get what is missing, and which shipped policies can run",
  usage = "moonbox doctor [--json]",
  options = { { "--json", "prints all of it as one JSON object" } },
}

local USAGE, UNAVAILABLE = 64, 69
local COLOURS = { ok = "\27[32m", missing = "\27[31m", note = "\27[33m" }
local PLAIN = setmetatable({}, { __index = function() return "" end })

local function title_width(rows)
  local width = 0
  for _, row in ipairs(rows) do width = math.max(width, #row.title) end
  return width
end

local function add_rows(out, rows, colours)
  local width = title_width(rows)
  local indent, reset = (" "):rep(13 + width), colours == PLAIN and "" or "\27[0m"
  local before = {}
  for _, row in ipairs(rows) do
    local title = row.title .. (" "):rep(width - #row.title)
    out[#out + 1] = ("  %s%-7s%s  %s  %s"):format(colours[row.state], row.state, reset, title, row.text)
    if row.now ~= before.now or row.why ~= before.why then
      if row.why then out[#out + 1] = indent .. row.why end
      if row.now then out[#out + 1] = indent .. "now:      " .. row.now end
      if row.lasting then out[#out + 1] = indent .. "for good: " .. row.lasting end
    elseif row.why then
      out[#out + 1] = indent .. "as above"
    end
    before = row
  end
end

local function add_policies(out, policies, colours)
  for _, policy in ipairs(policies) do
    local state = not policy.ok and "missing" or #policy.version > 0 and "note" or "ok"
    local words = { ok = "can run", note = "in part", missing = "cannot run" }
    out[#out + 1] = ("  %s%-10s%s  %s"):format(colours[state], words[state], colours == PLAIN and "" or "\27[0m",
      policy.name)
    local indent = (" "):rep(14)
    for _, sentence in ipairs(policy.host) do out[#out + 1] = indent .. "this host: " .. sentence end
    for _, sentence in ipairs(policy.version) do out[#out + 1] = indent .. "this version: " .. sentence end
  end
end

--- The report as text for a reader; `colour` for a terminal.
function M.text(report, colour)
  local colours = colour and COLOURS or PLAIN
  local line = require("moonbox.sanitise").line
  local caller = report.root and "as root" or "as an ordinary user"
  local out = { ("%s, %s, state in %s"):format(report.kernel, caller, line(report.state)), "" }
  add_rows(out, report.rows, colours)
  out[#out + 1] = ""
  out[#out + 1] = "policies"
  add_policies(out, report.policies, colours)
  return table.concat(out, "\n") .. "\n"
end

local function json(report)
  local encoder = require "moonbox.json"
  encoder.array(report.rows)
  encoder.array(report.policies)
  for _, policy in ipairs(report.policies) do
    encoder.array(policy.host)
    encoder.array(policy.version)
  end
  return encoder.encode(report, { pretty = true }) .. "\n"
end

function M.run(args)
  local sys, tell = require("moonbox.core").sys, require "moonbox.tell"
  local o, rest = require("moonbox.cli.options").parse(args, { json = "flag" })
  if not o or #rest > 0 then
    return tell.fail(USAGE, o and "doctor takes no arguments; usage: " .. M.usage or rest)
  end
  local report, message = require("moonbox.doctor").examine()
  if not report then return tell.fail(UNAVAILABLE, message) end
  local colour = sys.isatty(1) and not os.getenv("NO_COLOR") and os.getenv("TERM") ~= "dumb"
  require("moonbox.output").print(o.json and json(report) or M.text(report, colour))
  if report.ok then return 0 end
  return tell.fail(UNAVAILABLE, "this host can't run every shipped policy")
end

return M
