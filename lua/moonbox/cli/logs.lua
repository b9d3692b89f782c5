--- `moonbox logs ID [NUMBER]`.
local M = {
  about = "prints what the commands of a sandbox wrote, and what its supervisor had to say",
  usage = "moonbox logs [-f] [--json] ID [NUMBER]",
  options = {
    { "-f, --follow", "goes on until the sandbox has ended" },
    { "--json", "one JSON object a line: command, time, event, and what belongs to it" },
    { "NUMBER", "only this command, its lines without its number before them" },
    { "(keeps)", "the last 256 commands, of each the first 192 KiB and the last 24 or more of its output" },
  },
}

local PERIOD = 0.2
-- Bytes of a line that is shown before its end is there.
local LONGEST = 16384

local function sys() return require("moonbox.core").sys end

local function quoted(word)
  if word:find("^[%w@%%+=:,./_-]+$") then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function ending(event)
  local seconds = (" after %.1f s"):format(event.seconds)
  if event.overran then return "ended at its time limit" .. seconds end
  if event.sentence then return ("exit %d%s: %s"):format(event.code, seconds, event.sentence) end
  return (event.signal and "killed by signal %d%s" or "exit %d%s"):format(event.signal or event.code, seconds)
end

local say = {}

function say.started(event)
  local words = {}
  for i, word in ipairs(event.argv) do words[i] = quoted(word) end
  return { event.time .. " $ " .. table.concat(words, " ") }
end

function say.left_out(event) return { ("moonbox: %.0f bytes were left out here"):format(event.count) } end

function say.ended(event) return { event.time .. " " .. ending(event) } end

function say.lost() return { "moonbox: its end is not there: who started it went away, or could not write it" } end

-- Whole lines of the output; the rest waits for more, or for the end.
local function lines_of(partial, event)
  local id = event.command .. (event.stream or "")
  local out, at = {}, 1
  while true do
    local found = event.bytes:find("\n", at, true)
    local piece = event.bytes:sub(at, found and found - 1)
    local text = (partial[id] or "") .. piece
    if not found and #text < LONGEST then
      partial[id] = text
      return out
    end
    out[#out + 1], partial[id] = text, nil
    if not found then return out end
    at = found + 1
  end
end

local function rest_of(partial, event)
  local out = {}
  for _, stream in ipairs { "stdout", "stderr" } do
    local text = partial[event.command .. stream]
    if text and text ~= "" then out[#out + 1] = text end
    partial[event.command .. stream] = nil
  end
  return out
end

local function print_lines(event, lines, bare)
  local line = require("moonbox.sanitise").line
  for _, text in ipairs(lines) do
    text = line(text)
    if not require("moonbox.by_id").print((bare and "" or ("[%d] "):format(event.command)) .. text .. "\n") then
      return false
    end
  end
  return true
end

local function as_text(partial, bare)
  return function(event)
    if event.event == "output" then return print_lines(event, lines_of(partial, event), bare) end
    return print_lines(event, rest_of(partial, event), bare) and print_lines(event, say[event.event](event), bare)
  end
end

local function as_json(event)
  local sanitise = require "moonbox.sanitise"
  if event.bytes then event.text, event.bytes = sanitise.utf8(event.bytes), nil end
  for i, word in ipairs(event.argv or {}) do event.argv[i] = sanitise.utf8(word) end
  if event.sentence then event.sentence = sanitise.utf8(event.sentence) end
  return require("moonbox.by_id").json(event)
end

-- What the supervisor wrote since byte `at`; returns where it ends.
local function supervisor(path, at, json)
  local by_id = require "moonbox.by_id"
  local file = io.open(path .. "/supervisor.log", "rb")
  if not file then return at end
  file:seek("set", at)
  local text = (file:read("*a") or ""):match("^.*\n") or ""
  file:close()
  for line in text:gmatch("([^\n]*)\n") do
    line = require("moonbox.sanitise").line(line)
    if json then by_id.json { event = "supervisor", text = line } else by_id.print("[supervisor] " .. line .. "\n") end
  end
  return at + #text
end

function M.run(args)
  local by_id = require "moonbox.by_id"
  local options, id, rest = by_id.parse(M, args, { follow = "flag", json = "flag" }, { 0, 1 })
  if not options then return id end
  local only = rest[2] and tonumber(rest[2]:match("^%d+$"))
  if rest[2] and not only then return by_id.fail(by_id.USAGE, "a command's number is digits, not " .. rest[2]) end
  local box, refused = by_id.open(id)
  if not box then return refused end
  local reader = require("moonbox.command_logs").reader(box.path .. "/logs", only)
  local show, at = options.json and as_json or as_text({}, only ~= nil), 0
  while true do
    local over = not options.follow or by_id.ended(box.path)
    if not only then at = supervisor(box.path, at, options.json) end
    for _, event in ipairs(reader:events()) do
      if not show(event) then return 0 end
    end
    if over then return 0 end
    sys().sleep(PERIOD)
  end
end

return M
