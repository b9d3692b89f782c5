--- The parts of a policy file, checked and made plain: files, limits, process and hooks. The network's are in
-- moonbox.network_rows.
local checker = require "moonbox.checker"
local paths = require "moonbox.paths"
local say = require "moonbox.say"
local suggest = require "moonbox.suggest"
local values = require "moonbox.values"
local vocabulary = require "moonbox.vocabulary"
local where = require "moonbox.where"

local M = {}

local at, deeper, fail = where.at, where.deeper, where.fail

local function origin(row, out)
  out.word, out.file, out.line = row.word, row.file.label, row.line
  return out
end

-- Files -----------------------------------------------------------------------------------------------------

local function row_paths(session, row, place)
  local out = {}
  for _, item in ipairs(values.items(session, at(row), row.args)) do
    local here, path = deeper(at(row), item.index), item.value
    if type(path) ~= "string" then
      fail(session, here, ("`%s` is a list of paths, not %s"):format(row.word, say.describe(path)))
    else
      local wrong = paths.wrong(path) or values.bytes_wrong(path) or place(path)
      if wrong then
        fail(session, here, ('"%s" %s'):format(say.plain(path), wrong))
      else
        out[#out + 1] = path
      end
    end
  end
  if #out == 0 and next(row.args) == nil then
    fail(session, at(row), ("`%s` names no path"):format(row.word))
  end
  return out
end

local function one_path(session, row, found)
  local given = #values.items(session, at(row), row.args)
  if given > 1 then
    fail(session, at(row), ("`%s` is about one path, not %d; write one row for each"):format(row.word, given))
  elseif given == 0 and next(row.args) ~= nil then
    fail(session, at(row), ("`%s` names no path"):format(row.word))
  end
  return { found[1] }
end

local function file_row(session, row)
  local word = row.word
  local from_host = word == "read_only" or word == "bind"
  local found = row_paths(session, row, function(path)
    return (from_host and paths.source(path)) or (word ~= "bind" and paths.target(word, path)) or nil
  end)
  local out = checker.fields(session, at(row), word, row.args, {})
  if word == "bind" or word == "file" then found = one_path(session, row, found) end
  if word == "bind" then
    out.at = out.at or found[1]
    local wrong = out.at and paths.target("bind", out.at)
    if wrong then fail(session, deeper(at(row), "at"), ('"%s" %s'):format(out.at, wrong)) end
    out.mode = out.mode or "read_only"
  elseif word == "file" and row.args.text == nil then
    fail(session, at(row), '`file` has no `text`; write text = "" for an empty file')
  elseif word == "scratch" then
    out.size = out.size or vocabulary.default("scratch", "size")
  end
  out.paths = found
  return origin(row, out)
end

function M.files(session, here, value)
  if not values.is_table(session, value) then
    return values.wrong_type(session, here, "files", "section", value)
  end
  local out = checker.fields(session, here, "files", value, {})
  out.rows = {}
  checker.rows(session, here, "files", value, function(row) out.rows[#out.rows + 1] = file_row(session,
    row) end)
  return out
end

-- Limits, process, hooks ------------------------------------------------------------------------------------

local holdable = { "cpus", "memory", "disk", "disk_read", "disk_write", "disk_read_ops", "disk_write_ops", "time",
  "cpu_time", "processes" }

local function hold(session, here, value)
  local choices = vocabulary.keys("limits").hold.choices
  local out = {}
  local function level(there, name, v)
    for _, choice in ipairs(choices) do
      if v == choice then out[name] = v return end
    end
    fail(session, there, ('`hold` is "any" or "hard", not %s'):format(say.describe(v)))
  end
  if type(value) == "string" then
    for _, name in ipairs(holdable) do level(here, name, value) end
  elseif values.is_table(session, value) then
    local known = {}
    for _, name in ipairs(holdable) do known[name] = true end
    for _, item in ipairs(values.items(session, here, value)) do
      fail(session, deeper(here, item.index), ("`hold` holds limits by name, such as memory = \"hard\", not %s")
        :format(say.describe(item.value)))
    end
    for _, name in ipairs(checker.sorted_names(value)) do
      if known[name] then
        level(deeper(here, name), name, value[name])
      else
        fail(session, deeper(here, name), ("unknown limit `%s` in `hold`%s"):format(say.plain(name),
          suggest.tail(name, holdable)))
      end
    end
  else
    level(here, "memory", value)
  end
  return out
end

function M.limits(session, here, value)
  if not values.is_table(session, value) then
    return values.wrong_type(session, here, "limits", "section", value)
  end
  return checker.fields(session, here, "limits", value,
    { hold = function(there, v) return hold(session, there, v) end }, true)
end

local known_capabilities = ([[audit_control audit_read audit_write block_suspend bpf checkpoint_restore
  chown dac_override dac_read_search fowner fsetid ipc_lock ipc_owner kill lease linux_immutable
  mac_admin mac_override mknod net_admin net_bind_service net_broadcast net_raw perfmon setfcap setgid
  setpcap setuid sys_admin sys_boot sys_chroot sys_module sys_nice sys_pacct sys_ptrace sys_rawio
  sys_resource sys_time sys_tty_config syslog wake_alarm]])

local function capability_wrong(text)
  local all = {}
  for name in known_capabilities:gmatch("%S+") do all[#all + 1] = name end
  if text == "net_bind_service" then return nil end
  for _, name in ipairs(all) do
    if text == name then
      return "can't be granted: it reaches beyond the sandbox's own processes; only net_bind_service can"
    end
  end
  local bare = text:lower():gsub("^cap_", "")
  for _, name in ipairs(all) do
    if bare == name then return "is no capability; did you mean `" .. name .. "`?" end
  end
  return "is no capability" .. suggest.tail(text, all)
end

function M.process(session, here, value)
  if not values.is_table(session, value) then
    return values.wrong_type(session, here, "process", "section", value)
  end
  return checker.fields(session, here, "process", value, {
    capabilities = function(there, v)
      return values.texts(session, there, "capabilities", v, "capabilities", capability_wrong)
    end,
  }, true)
end

local MOST_ARGUMENTS = 64

local function command_wrong(value)
  if type(value) ~= "table" or #value == 0 or #value > MOST_ARGUMENTS then
    return "is a list of 1 to " .. MOST_ARGUMENTS .. " arguments"
  end
  local count = 0
  for key, argument in pairs(value) do
    if type(key) ~= "number" or type(argument) ~= "string" then return "is a list of texts" end
    if values.bytes_wrong(argument) then return "has an argument that " .. values.bytes_wrong(argument) end
    count = count + 1
  end
  if count ~= #value or not value[1] then return "has a hole: one of its items is nil" end
  if value[1]:sub(1, 1) ~= "/" then return "begins with the full path of a program" end
end

--- name -> the command of the host that is told, as a list.
function M.receivers(session, here, value)
  if not values.is_table(session, value) then
    return fail(session, here, "`receivers` takes names and commands in braces, not " .. say.describe(value))
  end
  local out = {}
  for _, item in ipairs(values.items(session, here, value)) do
    fail(session, deeper(here, item.index), "a receiver has a name: name = { \"/full/path\", … }")
  end
  for _, name in ipairs(checker.sorted_names(value)) do
    local wrong = not session:is_unknown(value[name]) and command_wrong(value[name])
    if not name:match("^[%w_-]+$") then wrong = "is named by letters, digits, _ and -" end
    if wrong then
      fail(session, deeper(here, name), ("a receiver's command %s"):format(wrong))
    elseif not session:is_unknown(value[name]) then
      out[name] = { unpack(value[name]) }
    end
  end
  return out
end

function M.hooks(session, here, value)
  if not values.is_table(session, value) then
    return fail(session, here, "`on` takes events and functions in braces, not " .. say.describe(value))
  end
  local out = {}
  local functions = checker.fields(session, here, "on", value, {}, true)
  for _, name in ipairs(checker.sorted_names(functions)) do
    local line = debug.getinfo(functions[name], "S").linedefined
    out[#out + 1] = { name = name, file = here.row.file.label, line = line, path = here.row.file.path }
  end
  return out
end

return M
