--- Policies: from a file to plain, merged data.
-- The file is evaluated, checked and merged with the policy it extends in a sacrificed process (2 s, 64 MB)
-- that returns text; this process only decodes that text. So nothing that a policy does while it is read can
-- hang, grow or change moonbox.
--
-- The data: { name, about, file, line, extends = { name, file } or nil,
--   files = { storage, rows = { { word, paths, at, mode, text, size, optional, file, line } } },
--   network = { mode, rows = { { word, names, ports, requests, bandwidth, bytes, watch, why, on, file, line } },
--     otherwise, from = "FILE:LINE" of what holds otherwise, requests, bandwidth, dns, resolver, hosts },
--   limits = { …, hold = {} }, limits_from = { cpus = "FILE:LINE" }, process = {}, env = {},
--   hooks = { { name, file, line, path } }, receivers = { name = { "/program", … } },
--   parameters = { { name, value = its text, from = "FILE:LINE" } } or nil,
--   from = { ["limits.cpus"] = "FILE:LINE" } }                      -- `from` only when asked for with
-- `lines` Merging: the base's file rows come first and the policy's lie over them; the policy's network rows
-- come first, so that they win; limits, process and env are overridden key by key.
local json = require "moonbox.json"

local M = {}

--- What reading a file may cost. Seconds of wall time; bytes beyond this process's own.
M.budget = { seconds = 2, memory = 64 * 2 ^ 20 }

local sections = { "limits", "process", "env" }

-- One file's part of a policy, unmerged.
local function part_of(session, row)
  local checker = require "moonbox.checker"
  local where = require "moonbox.where"
  local rows = require "moonbox.policy_rows"
  local here = where.at(row)
  local function section(name)
    return function(at, value)
      if value == nil then return nil end
      return rows[name](session, at, value)
    end
  end
  local function network(at, value) return require("moonbox.network_rows").network(session, at, value) end
  local args = {}
  for k, v in pairs(row.args) do args[k] = v end
  local out = {}
  for _, name in ipairs { "files", "limits", "process" } do
    if args[name] ~= nil and not session:is_unknown(args[name]) then
      out[name] = section(name)(where.deeper(here, name), args[name])
    end
    args[name] = nil
  end
  args.needs = nil -- moonbox.parameters
  local fields = checker.fields(session, here, "policy", args,
    { network = network, hooks = section "hooks", receivers = section "receivers" }, true)
  for name, value in pairs(fields) do out[name] = value end
  out.name, out.row = row.name, row
  return out
end

-- Fields of a part that no key of the file is called.
local made = { rows = true, word = true, mode = true, from = true }

local function note_lines(session, part, from)
  if not session.options.lines then return end
  local function note(section, name)
    local line = session:line(part.row, section, name)
    from[section .. "." .. name] = part.row.file.label .. ":" .. line
  end
  for _, section in ipairs { "limits", "process", "env", "files", "network" } do
    for name, value in pairs(part[section] or {}) do
      if not made[name] and value ~= nil then note(section, name) end
    end
  end
  if part.network then
    from.network = part.row.file.label .. ":" .. session:line(part.row, "network")
  end
end

-- What a broken limit is reported with, so always noted: limit -> FILE:LINE.
local function note_limits(session, part, from)
  for name in pairs(part.limits or {}) do
    from[name] = part.row.file.label .. ":" .. session:line(part.row, "limits", name)
  end
end

local function append(out, list)
  for _, item in ipairs(list or {}) do out[#out + 1] = item end
end

local function merge(session, base, child)
  local data = { name = child.name, about = child.about, file = child.row.file.label, line = child.row.line,
    files = { rows = {} }, hooks = {}, receivers = {}, from = {}, limits_from = {} }
  if base then
    data.extends = { name = base.name, file = base.row.file.label }
    note_lines(session, base, data.from)
  end
  note_lines(session, child, data.from)
  for _, part in ipairs { base or {}, child } do
    append(data.files.rows, part.files and part.files.rows)
    data.files.storage = part.files and part.files.storage or data.files.storage
    append(data.hooks, part.on)
    note_limits(session, part, data.limits_from)
    for name, command in pairs(part.receivers or {}) do data.receivers[name] = command end
  end
  for _, section in ipairs(sections) do
    local out = {}
    for _, part in ipairs { base or {}, child } do
      for name, value in pairs(part[section] or {}) do
        if name == "hold" and out.hold then
          for limit, level in pairs(value) do out.hold[limit] = level end
        else
          out[name] = value
        end
      end
    end
    data[section] = out
  end
  data.network = require("moonbox.network_rows").sum(session, base, child)
  return data
end

local function directory_of(path) return path:match("^(.*)/[^/]*$") or "" end

local function load_row(session, path, label, text)
  if path:match("%.ya?ml$") then return require("moonbox.yaml_policy").load(session, path, label, text) end
  return (session:load(path, label, "policy", text))
end

-- The row of the policy that this one extends, or nil.
local function base_row(session, row)
  local extends = row.args.extends
  if type(extends) ~= "string" then return nil end
  local where = require "moonbox.where"
  local policies = require "moonbox.policies"
  local at = where.at(row, "extends")
  local path, label = policies.find(extends, directory_of(row.file.path))
  if not path then return where.fail(session, at, "`extends`: " .. label) end
  local text, why = require("moonbox.loader").read(path)
  if not text then return where.fail(session, at, ("`extends`: %s %s"):format(label, why)) end
  local base = load_row(session, path, label, text)
  local again = base and base.args.extends
  if type(again) == "string" then
    where.fail(session, at, ('`extends` goes one level deep, and "%s" extends "%s" itself; extend that')
      :format(extends, again))
  end
  return base
end

--- Evaluates, checks and merges in this process: only for use inside core.sacrifice, and by specs. The values of
-- parameters are those of the session.
-- Returns the data or nil; the session then holds the diagnostics.
function M.evaluate(session, path, label, text)
  local before = #session.diagnostics
  local row = load_row(session, path, label, text)
  if not row then return nil end
  local base = base_row(session, row)
  local parameters = require("moonbox.parameters").fill(session, row, base)
  local part = part_of(session, row)
  local data = merge(session, base and part_of(session, base), part)
  data.parameters = parameters
  if #session.diagnostics > before then return nil end
  return data
end

--- A session that finds groups among the shipped ones. Options: as of M.begin.
function M.session(options)
  local loader = require "moonbox.loader"
  options = options or {}
  local given = { lines = options.lines, parameters = options.parameters, partial = options.partial, own = options.own }
  function given.group(_, kind, name) return require("moonbox.policies").find_group(kind, name) end
  return loader.session(given)
end

local sentences = {
  ETIME = "still running after 2 s; a policy is read once and returns at once: look for an endless loop",
  ENOMEM = "needs more than 64 MB of memory to be read; look for a table, text or recursion without end",
}

-- What the worker sent, as data or diagnostics.
local function received(label, text, message, code)
  if not text then
    if code == "ELUA" and tostring(message):find("not enough memory", 1, true) then code = "ENOMEM" end
    local sentence = sentences[code] or ("can't be read: " .. tostring(message))
    return nil, { { file = label, line = 1, text = sentence } }
  end
  local result, why = json.decode(text)
  if not result then return nil, { { file = label, line = 1, text = "can't be read: " .. why } } end
  if not result.data then return nil, result.diagnostics end
  return result.data, nil, result.read
end

--- Begins to run `work(session)` in a sacrificed process, beside this one. Returns a function that waits for it and
-- returns what it returned, or nil and diagnostics ({ file, line, text }, …). `label` names the file in messages about
-- the budget.
function M.begin_sacrificed(label, options, work)
  local worker, message, code = require("moonbox.core").sacrifice(function()
    -- A process that lives for a millisecond pays for compiled traces and never runs them.
    jit.off()
    local session = M.session(options)
    local data = work(session)
    if #session.diagnostics > 0 then data = nil end
    local read = json.array {}
    for i, file in ipairs(session.files) do read[i] = file.path end
    return json.encode { data = data, diagnostics = json.array(session:sorted()), read = read }
  end, M.budget)
  return function()
    if not worker then return received(label, nil, message, code) end
    return received(label, worker:finish())
  end
end

--- The same, waited for.
function M.sacrificed(label, options, work)
  return M.begin_sacrificed(label, options, work)()
end

-- What core.head_start.keep is told of the files of a policy that was kept.
local function evidence(lines)
  local out = { lines }
  for _, path in ipairs(require("moonbox.policies").passed_over()) do out[#out + 1] = "absent " .. path .. "\n" end
  return table.concat(out)
end

--- Begins to load a policy: a path or a shipped name. Returns a function that returns its data, or nil and diagnostics
-- in file order ({ file, line, text }, …; `line` is nil when there is no file; `usage` where a parameter's value is
-- wrong and not the file). `options.lines` adds `from`, the line of every key; `options.cached` may answer from
-- moonbox.policy_cache, and the data is then followed by nil and what core.head_start.keep is to know of the files;
-- `options.parameters` are the values of parameters, name -> text; `options.own` are names of other options, for
-- did-you-mean; with `options.partial` a parameter without a value is none of the mistakes, and what depends on it is
-- not checked: the data is then of no other use.
function M.begin(argument, options)
  local policies = require "moonbox.policies"
  local path, label = policies.find(argument)
  if not path then
    return function() return nil, { { file = argument, text = label } } end
  end
  local place = options and options.cached and require("moonbox.policy_cache").place(path, label, options.parameters)
  local text, files
  if place then text, files = require("moonbox.policy_cache").find(place) end
  local kept = text and json.decode(text)
  if kept then
    return function() return kept, nil, evidence(files) end
  end
  local finish = M.begin_sacrificed(label, options, function(session)
    local data = M.evaluate(session, path, label)
    return options and options.partial and data and { name = data.name } or data
  end)
  return function()
    local data, diagnostics, read = finish()
    if data and place then require("moonbox.policy_cache").keep(place, read, json.encode(data)) end
    return data, not data and diagnostics or nil
  end
end

--- The same, waited for.
function M.load(argument, options)
  return M.begin(argument, options)()
end

--- Loads a group file (ecosystem/npm.lua and the like) by itself, for checking: true, or nil and diagnostics.
function M.load_group(path)
  return M.sacrificed(path, nil, function(session)
    local row = session:load(path, path, "group")
    if row then require("moonbox.network_rows").group_names(session, row) end
    return row and { name = row.name }
  end)
end

--- The exit code for diagnostics: a policy is wrong (65), or only the values that it was given are (64).
function M.code(diagnostics)
  for _, d in ipairs(diagnostics) do
    if not d.usage then return 65 end
  end
  return 64
end

--- Tells diagnostics on stderr, and returns the exit code.
function M.complain(diagnostics)
  for _, d in ipairs(diagnostics) do require("moonbox.tell").line(M.format(d)) end
  return M.code(diagnostics)
end

--- One diagnostic as its line of output: `FILE:LINE: sentence`, or `moonbox: sentence` without a file's line.
function M.format(d)
  if not d.line then return "moonbox: " .. d.text end
  return ("%s:%d: %s"):format(d.file, d.line, d.text)
end

return M
