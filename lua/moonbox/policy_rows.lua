--- The parts of a policy file, checked and made plain: files, network, limits, process, env and hooks.
local checker = require "moonbox.checker"
local loader = require "moonbox.loader"
local paths = require "moonbox.paths"
local suggest = require "moonbox.suggest"
local vocabulary = require "moonbox.vocabulary"

local M = {}

-- Many policies have no name in them.
local names = setmetatable({}, { __index = function(_, name) return require("moonbox.names")[name] end })

local at, deeper, fail = checker.at, checker.deeper, checker.fail

local function origin(row, out)
  out.word, out.file, out.line = row.word, row.file.label, row.line
  return out
end

-- Files -----------------------------------------------------------------------------------------------------

local function row_paths(session, row, place)
  local out = {}
  for _, item in ipairs(checker.items(session, at(row), row.args)) do
    local here, path = deeper(at(row), item.index), item.value
    if type(path) ~= "string" then
      fail(session, here, ("`%s` is a list of paths, not %s"):format(row.word, loader.describe(path)))
    else
      local wrong = paths.wrong(path) or place(path)
      if wrong then
        fail(session, here, ('"%s" %s'):format(loader.plain(path), wrong))
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
  local given = #checker.items(session, at(row), row.args)
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
  if not checker.is_table(session, value) then
    return checker.wrong_type(session, here, "files", "section", value)
  end
  local out = checker.fields(session, here, "files", value, {})
  out.rows = {}
  checker.rows(session, here, "files", value, function(row) out.rows[#out.rows + 1] = file_row(session,
    row) end)
  return out
end

-- Network ---------------------------------------------------------------------------------------------------

local function parse_name(session, here, text)
  if type(text) ~= "string" then
    return fail(session, here, ("a list of names holds names in quotes and groups, not %s")
      :format(loader.describe(text)))
  end
  local parsed, why = names.parse(text)
  if not parsed then return fail(session, here, ('"%s" %s'):format(loader.plain(text), why)) end
  return parsed
end

--- The names of a group file, parsed once.
function M.group_names(session, group)
  if group.checked then return group.checked end
  group.checked = {}
  checker.fields(session, at(group), "group", group.args, {})
  for _, item in ipairs(checker.items(session, at(group), group.args)) do
    local here = deeper(at(group), item.index)
    local parsed = parse_name(session, here, item.value)
    if parsed and (parsed.internal or parsed.form == "group") then
      fail(session, here, ('"%s" is internal; a group holds public names'):format(parsed.name))
    elseif parsed then
      parsed.group, parsed.file, parsed.line = group.name, group.file.label, group.line
      group.checked[#group.checked + 1] = parsed
    end
  end
  return group.checked
end

local judge = {}

function judge.allow(parsed)
  if parsed.internal or parsed.form == "group" then
    return "is internal; only allow_internal { …, why = … } opens it"
  end
end
judge.only = judge.allow

function judge.allow_internal(parsed)
  if parsed.form ~= "address" and parsed.form ~= "cidr" then
    return "is a name; allow_internal takes addresses"
  end
  if not parsed.internal then return "is not internal; write it in an allow row" end
end

local function row_names(session, row)
  local out = {}
  for _, item in ipairs(checker.items(session, at(row), row.args)) do
    local here, group = deeper(at(row), item.index), session:row(item.value)
    if group and group.word == "group" then
      for _, parsed in ipairs(M.group_names(session, group)) do out[#out + 1] = parsed end
    else
      local parsed = parse_name(session, here, item.value)
      local wrong = parsed and judge[row.word] and judge[row.word](parsed)
      if wrong then
        fail(session, here, ('"%s" %s'):format(parsed.name, wrong))
      elseif parsed and parsed.port and row.args.ports ~= nil then
        fail(session, here, ('"%s" has a port of its own beside `ports`; write one of them')
          :format(item.value))
      elseif parsed then
        out[#out + 1] = parsed
      end
    end
  end
  return out
end

local function publish_ports(session, row)
  local out = {}
  for _, item in ipairs(checker.items(session, at(row), row.args)) do
    local port = type(item.value) == "number" and names.port(item.value)
    if port then
      out[#out + 1] = port
    else
      fail(session, deeper(at(row), item.index), ("a port is a number from 1 to 65535, not %s")
        :format(loader.describe(item.value)))
    end
  end
  return out
end

--- One network row as plain data: { word, names, ports, why, watch, methods, file, line }.
function M.network_row(session, row)
  local out = checker.fields(session, at(row), row.word, row.args, {})
  if row.word == "publish" then
    out.ports = publish_ports(session, row)
  else
    out.names = row_names(session, row)
  end
  if row.word == "allow_internal" and row.args.why == nil then
    fail(session, at(row), "`allow_internal` opens an internal address, so it needs a reason: why = …")
  end
  return origin(row, out)
end

local function hosts(session, here, value)
  if not checker.is_table(session, value) then
    return fail(session, here, '`hosts` takes names and addresses, { ["name"] = "192.0.2.7" }, not '
      .. loader.describe(value))
  end
  local out = {}
  for _, name in ipairs(checker.sorted_names(value)) do
    local canonical, why = names.canonical(name)
    local address = value[name]
    if not canonical then
      fail(session, deeper(here, name), ('"%s" %s'):format(loader.plain(name), why))
    elseif type(address) ~= "string" or not names.bytes(address) then
      fail(session, deeper(here, name), ('"%s" is given an address in quotes, not %s')
        :format(name, loader.describe(address)))
    else
      out[canonical] = address
    end
  end
  return out
end

function M.network(session, here, value)
  if value == "none" or value == "open" then return { mode = value, rows = {}, word = true } end
  if not checker.is_table(session, value) then
    local near = type(value) == "string" and suggest.tail(value, { "none", "open" }) or ""
    return fail(session, here, ('`network` is "none", "open" or rows in braces, not %s%s')
      :format(loader.describe(value), near))
  end
  local out = checker.fields(session, here, "network", value, {
    hosts = function(there, v) return hosts(session, there, v) end,
  })
  out.rows = {}
  checker.rows(session, here, "network", value, function(row)
    if row.word == "only" then
      session:report(row.file, row.line, "`only` narrows a pipeline's step; in a policy write `allow`")
    else
      out.rows[#out.rows + 1] = M.network_row(session, row)
    end
  end)
  return out
end

-- Limits, process, hooks ------------------------------------------------------------------------------------

local holdable = { "cpus", "memory", "disk", "time", "processes" }

local function hold(session, here, value)
  local choices = vocabulary.keys("limits").hold.choices
  local out = {}
  local function level(there, name, v)
    for _, choice in ipairs(choices) do
      if v == choice then out[name] = v return end
    end
    fail(session, there, ('`hold` is "any" or "hard", not %s'):format(loader.describe(v)))
  end
  if type(value) == "string" then
    for _, name in ipairs(holdable) do level(here, name, value) end
  elseif checker.is_table(session, value) then
    local known = {}
    for _, name in ipairs(holdable) do known[name] = true end
    for _, name in ipairs(checker.sorted_names(value)) do
      if known[name] then
        level(deeper(here, name), name, value[name])
      else
        fail(session, deeper(here, name), ("unknown limit `%s` in `hold`%s"):format(loader.plain(name),
          suggest.tail(name, holdable)))
      end
    end
  else
    level(here, "memory", value)
  end
  return out
end

function M.limits(session, here, value)
  if not checker.is_table(session, value) then
    return checker.wrong_type(session, here, "limits", "section", value)
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
  if not checker.is_table(session, value) then
    return checker.wrong_type(session, here, "process", "section", value)
  end
  return checker.fields(session, here, "process", value, {
    capabilities = function(there, v)
      return checker.texts(session, there, "capabilities", v, "capabilities", capability_wrong)
    end,
  }, true)
end

function M.hooks(session, here, value)
  if not checker.is_table(session, value) then
    return fail(session, here, "`on` takes events and functions in braces, not " .. loader.describe(value))
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
