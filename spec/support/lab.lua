--- The lab of spec/lab, for specs that run in it: spec/run/suite.sh starts every spec file that requires this module as
-- a command of spec/lab/lab.py. Here are its logs, its DNS server's script, and policies that fit it.
local box = require "support.box"
local json = require "moonbox.json"

local M = { folder = os.getenv("MOONBOX_LAB") }

assert(M.folder, "this spec runs in the lab: make test SPECS=..., or spec/lab/lab.py COMMAND")

M.ca = M.folder .. "/tls/ca.pem"
-- What a box is shown of the lab: its authority, its key for git@, and the program that makes tries.
M.shown = { M.ca .. ":/opt/lab/ca.pem", M.folder .. "/ssh/id:/opt/lab/id", "spec/lab/client.py:/opt/lab/client.py" }

-- A lab answers in milliseconds; this is for a machine that is busy with other things.
local PATIENCE = 20

--- The addresses that everything outside the cable's ends has, by what they stand for.
M.address = { site = "203.0.113.10", evil = "203.0.113.66", unreachable = "203.0.113.98", silent = "203.0.113.99",
  resolver = "203.0.113.53", host = "198.51.100.2", lan = "192.168.77.2" }

local function log_path(name) return M.folder .. "/" .. name .. ".log" end

local marks = 0

--- Waits until every packet that was sent by now is in the packet log.
local function settle()
  marks = marks + 1
  local mark = "mark" .. marks .. "-" .. require("moonbox.core").sys.pid()
  local sent = box.shell(("/usr/bin/python3 -c 'import socket; socket.socket(2, 2).sendto(b\"%s\", (\"203.0.113.10\", 65000))'")
    :format(mark))
  assert(sent.code == 0, sent.stderr)
  assert(box.wait_for(function() return box.read(log_path("packets")):find(mark, 1, true) end, PATIENCE),
    "the packet log is stuck")
end

--- A point in time of the logs, for M.log.
function M.now()
  settle()
  local point = {}
  for _, name in ipairs { "dns", "web", "streams", "packets" } do point[name] = #box.read(log_path(name)) end
  return point
end

--- The lines of a log ("dns", "web", "streams", "packets") since a point, as tables; those whose fields equal `like` only.
function M.log(name, point, like)
  if name == "packets" then settle() end
  local lines = {}
  for line in box.read(log_path(name)):sub(point[name] + 1):gmatch("[^\n]+") do
    local entry = assert(json.decode(line))
    local fits = not entry.mark
    for key, value in pairs(like or {}) do fits = fits and entry[key] == value end
    if fits then lines[#lines + 1] = entry end
  end
  return lines
end

--- "TYPE NAME" of each query since a point, in order.
function M.queries(point)
  local out = {}
  for i, entry in ipairs(M.log("dns", point)) do out[i] = entry.type .. " " .. entry.name end
  return out
end

--- "PROTOCOL ADDRESS PORT" of each packet since a point, in order.
function M.packets(point)
  local out = {}
  for i, entry in ipairs(M.log("packets", point)) do
    out[i] = ("%s %s %s"):format(entry.protocol, entry.address, entry.port or "-")
  end
  return out
end

--- The script of the DNS server (spec/lab/dns.py), as a table; nil: the names that it starts with.
function M.names(zone)
  local path = M.folder .. "/dns.json"
  if zone then
    assert(require("moonbox.core").sys.write_file(path, json.encode(zone), 420))
  else
    os.remove(path)
  end
end

--- Writes a policy with these rows of `network` and returns its path. `more`: further lines of the policy.
function M.policy(rows, more)
  local path = ("%s/policy-%s.lua"):format(box.home, require("moonbox.core").sys.random_hex(4))
  return require("support.runs").write(path, ([[
return policy "lab" {
  about = "a policy of a spec", extends = "base",
  network = { resolver = "203.0.113.53:53",
%s
  },
%s
}
]]):format(rows, more or ""))
end

local function options_of(policy, options)
  local words = { "--policy", policy }
  for _, bind in ipairs(M.shown) do words[#words + 1] = "--bind=" .. bind end
  for _, option in ipairs(options or {}) do words[#words + 1] = option end
  return words
end

--- The shell text of M.exec.
function M.line(policy, command, options) return box.line(options_of(policy, options), command) end

--- `moonbox exec` under a policy's path, with M.shown: { code, stdout, stderr }.
function M.exec(policy, command, options)
  return box.exec(options_of(policy, options), command)
end

local function answers(result)
  assert(result.code == 0, result.stderr .. result.stdout)
  local out = {}
  for line in result.stdout:gmatch("[^\n]+") do
    local try, answer = line:match("^(%S+) (.*)$")
    out[try] = answer
  end
  return out
end

--- Runs tries of spec/lab/client.py in a box: { TRY = ANSWER, ... }.
function M.try(policy, tries, options)
  return answers(M.exec(policy, { "/usr/bin/python3", "/opt/lab/client.py", unpack(tries) }, options))
end

--- The same tries outside of any box, as a control.
function M.try_outside(tries)
  return answers(box.shell("/usr/bin/python3 spec/lab/client.py " .. box.words(tries)))
end

--- Runs tries in a box and compares: { [TRY] = ANSWER, ... }.
function M.expect(policy, wanted, options)
  local tries = {}
  for try in pairs(wanted) do tries[#tries + 1] = try end
  table.sort(tries)
  require("luassert").same(wanted, M.try(policy, tries, options))
end

--- As M.expect, outside.
function M.expect_outside(wanted)
  local tries = {}
  for try in pairs(wanted) do tries[#tries + 1] = try end
  table.sort(tries)
  require("luassert").same(wanted, M.try_outside(tries))
end

return M
