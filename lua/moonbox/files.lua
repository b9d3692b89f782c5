--- Files of a sandbox: read, written, listed and copied by a process inside it (core/files), as its agent.
-- Every function takes a box, of moonbox.sandbox or by id, and returns nil, sentence, exit code when it fails. Paths
-- in the sandbox are absolute. What a sandbox sends is bytes: nothing of the host is opened by a name that it chose.
local core = require "moonbox.core"

local M = {}

local FAILED, USAGE = 1, 64

--- Bytes that M.read takes when the caller does not say.
M.MOST = 16 * 2 ^ 20

-- Files and directories of one copy out of a sandbox.
local MOST_ENTRIES = 10 * 1000 * 1000

-- Names in it may be the tenant's choice.
local function last_line(text)
  local line = (text or ""):match("([^\n]+)\n*$")
  return line and require("moonbox.sanitise").line(line)
end

-- A request that wrote to who had stopped reading: the reason is the reader's.
local BROKEN_PIPE = 141

-- Runs a request to its end: the outcome, or nil, sentence, exit code, and whether its reader went away first.
local function ask(box, run, spec)
  if run[2]:sub(1, 1) ~= "/" or run[2]:find("%z") then
    return nil, run[2] .. " is no absolute path in the sandbox", USAGE
  end
  spec.run, spec.files, spec.cwd = run, true, "/"
  local outcome, message, code = box:exec(spec)
  if not outcome then return nil, message, code end
  if outcome.code == 0 and not outcome.ended_by then return outcome end
  local why = outcome.sentence or last_line(outcome.stderr) or "the request ended with code " .. outcome.code
  return nil, ("%s in the sandbox: %s"):format(run[2], why), FAILED, outcome.code == BROKEN_PIPE
end

--- The bytes of a file of at most `most` bytes (16 MiB by default).
function M.read(box, path, most)
  most = most or M.MOST
  local outcome, message, code = ask(box, { "get", path, ("%d"):format(most) }, { keep = most })
  if not outcome then return nil, message, code end
  return outcome.stdout
end

--- Makes `text` the content of a file, whole or not at all, with `mode` (octal 644 by default). Directories that are
-- missing are made. Returns true.
function M.write(box, path, text, mode)
  local outcome, message, code = ask(box, { "set", path, ("%o"):format(mode or 420) }, { stdin = text })
  return outcome and true, message, code
end

local kinds = { f = "file", d = "directory", l = "link", o = "other" }

--- The entries of a directory, by name: { name, kind = "file", "directory", "link" or "other", mode, size = bytes,
-- changed = seconds of the epoch }.
function M.list(box, path)
  local outcome, message, code = ask(box, { "list", path }, { keep = M.MOST })
  if not outcome then return nil, message, code end
  if outcome.dropped > 0 then return nil, path .. " in the sandbox: too many entries to list", FAILED end
  local out = {}
  for kind, mode, size, changed, name in outcome.stdout:gmatch("(%a) (%d+) (%d+) (%-?%d+) ([^%z]*)%z") do
    out[#out + 1] = { name = name, kind = kinds[kind], mode = tonumber(mode, 8), size = tonumber(size),
      changed = tonumber(changed) }
  end
  table.sort(out, function(a, b) return a.name < b.name end)
  return out
end

local function lines(text, into)
  for line in (text or ""):gmatch("[^\n]+") do into[#into + 1] = require("moonbox.sanitise").line(line) end
  return into
end

--- Copies a file or a tree of the host's into the sandbox: to `inside`, or into it when it is a directory. Links are
-- copied as links. Returns an array of sentences about what was left out.
function M.copy_in(box, host, inside)
  local transfer, name = core.transfer.pack(host)
  if not transfer then return nil, name, FAILED end
  local outcome, message, code = ask(box, { "unpack", inside, name }, { stdin = { pass = transfer:fd() } })
  local whole, told = transfer:finish()
  if not whole and told ~= "" then return nil, host .. ": " .. last_line(told), FAILED end
  if not outcome then return nil, message, code end
  return lines(told, {})
end

local function disk(box)
  local plan = box.plan or require("moonbox.sandboxes").plan(box.path)
  return plan and plan.limits.disk or M.MOST
end

--- Copies a file or a tree out of the sandbox: to `host`, or into it when it is a directory; at most as many bytes as
-- the sandbox may have. Files and links that are there are replaced, never followed. Returns as M.copy_in does.
function M.copy_out(box, inside, host)
  local name = inside:match("([^/]+)/*$")
  if not name then return nil, "name what is needed in /", USAGE end
  local transfer, message = core.transfer.unpack(host, name, disk(box), MOST_ENTRIES)
  if not transfer then return nil, message, FAILED end
  local outcome, why, code, unread = ask(box, { "pack", inside }, { stdout = { pass = transfer:fd() } })
  local whole, told = transfer:finish()
  if not outcome and (whole or not unread) then return nil, why, code end
  if not whole then return nil, host .. ": " .. (last_line(told) or "it can't be written"), FAILED end
  return lines(outcome.stderr, {})
end

return M
