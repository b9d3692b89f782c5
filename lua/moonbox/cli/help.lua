--- `moonbox help [COMMAND|WORD]`: the commands, one command, or one word of the policy language.
local M = {
  about = "lists the commands, or tells of one command or one word of a policy",
  usage = "moonbox help [COMMAND|WORD]",
  options = {},
}

local commands = { "run", "exec", "create", "list", "inspect", "posture", "stats", "events", "logs", "flows", "cp",
  "pause", "resume", "network", "stop", "destroy", "gc", "check", "explain", "why", "plan", "doctor", "help" }

local function command(name)
  local ok, module = pcall(require, "moonbox.cli." .. name)
  return ok and type(module) == "table" and module or nil
end

local function overview()
  local out = { "moonbox runs untrusted programs in a sandbox that a Lua policy describes.", "", "Commands:" }
  for _, name in ipairs(commands) do
    local module = command(name)
    if module then out[#out + 1] = ("  %-9s %s"):format(name, module.about) end
  end
  out[#out + 1] = ""
  out[#out + 1] = "Words of policies and pipelines (moonbox help WORD):"
  local vocabulary = require "moonbox.vocabulary"
  local line, seen = " ", {}
  for _, entry in ipairs(vocabulary.entries()) do
    if not seen[entry.word] and entry.kind ~= "function" and not entry.later then
      seen[entry.word] = true
      if #line + #entry.word > 78 then
        out[#out + 1] = line
        line = " "
      end
      line = line .. " " .. entry.word
    end
  end
  out[#out + 1] = line
  return table.concat(out, "\n") .. "\n"
end

local function command_text(name, module)
  local out = { "moonbox " .. name .. ": " .. module.about, "  usage: " .. module.usage }
  for _, option in ipairs(module.options or {}) do
    out[#out + 1] = ("  %-18s %s"):format(option[1], option[2])
  end
  return table.concat(out, "\n") .. "\n"
end

local kinds = { container = "named block", row = "row", value = "unit", type = "type of a parameter",
  module = "groups of names", reaction = "answer of a hook", ["function"] = "function", key = "key" }

local function measure(entry, n)
  local units = require "moonbox.units"
  return units.show(units.example[entry.type] and entry.type ~= "rate" and entry.type or "", n)
end

-- One entry: `memory (key in limits, a size such as 4 * GB): sentence`, and its range, choices and default.
local function entry_text(entry)
  local units = require "moonbox.units"
  local where = entry.kind == "key" and " of " .. entry.place
    or entry.kind == "row" and " in " .. entry.place or ""
  local out = { ("%s (%s%s%s)"):format(entry.word, kinds[entry.kind], where,
    units.example[entry.type] and ", " .. units.example[entry.type] or "") }
  out[#out + 1] = "  " .. entry.says
  if entry.files and entry.kind ~= "function" then
    out[#out + 1] = "  in files: " .. table.concat(entry.files, ", ")
  end
  if entry.choices then out[#out + 1] = '  one of: "' .. table.concat(entry.choices, '", "') .. '"' end
  if entry.min and entry.max then
    out[#out + 1] = ("  from %s to %s"):format(measure(entry, entry.min), measure(entry, entry.max))
  end
  if entry.default ~= nil then
    local d = entry.default
    out[#out + 1] = "  when left out: " .. (type(d) == "number" and measure(entry, d) or tostring(d))
  end
  return table.concat(out, "\n") .. "\n"
end

-- The keys that a row or section takes.
local function keys_text(name)
  local names = {}
  for key, entry in pairs(require("moonbox.vocabulary").keys(name)) do
    if not entry.later then names[#names + 1] = key end
  end
  table.sort(names)
  return #names > 0 and "  keys: " .. table.concat(names, ", ") .. "\n" or ""
end

local function word_text(name)
  local entries = require("moonbox.vocabulary").find(name)
  if not entries then return nil end
  local out, said = {}, {}
  for _, entry in ipairs(entries) do
    local text = entry_text(entry)
    if not said[text] then out[#out + 1] = text end
    said[text] = true
  end
  return table.concat(out) .. keys_text(name)
end

local function known()
  local out = {}
  for _, name in ipairs(commands) do out[#out + 1] = name end
  for _, entry in ipairs(require("moonbox.vocabulary").entries()) do out[#out + 1] = entry.word end
  return out
end

function M.run(args)
  if #args > 1 then
    return require("moonbox.tell").fail(64, "help is about one thing; usage: " .. M.usage)
  end
  local name = args[1]
  if not name then
    require("moonbox.output").print(overview())
    return 0
  end
  local is_command = false
  for _, one in ipairs(commands) do is_command = is_command or one == name end
  local module = is_command and command(name)
  local text = (module and command_text(name, module) or "") .. (word_text(name) or "")
  if text == "" then
    local suggest = require "moonbox.suggest"
    local sentence = "`%s` is neither a command nor a word of policies%s; `moonbox help` lists them"
    return require("moonbox.tell").fail(64, sentence:format(require("moonbox.say").plain(name),
      suggest.tail(name, known())))
  end
  require("moonbox.output").print(text)
  return 0
end

return M
