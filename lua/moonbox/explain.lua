--- What a policy means on this host, row by row: the row, its effect, the file and line that decided it, and
-- how hard each limit is held.
local holding = require "moonbox.holding"
local units = require "moonbox.units"
local vocabulary = require "moonbox.vocabulary"

local M = {}

local function list(items, separator) return table.concat(items, separator or ", ") end

local file_effect = {
  read_only = function() return "the host's, not writable" end,
  read_write = function(_, data)
    return "writable, private to the task, " .. (data.files.storage == "memory" and "in memory" or "on disk")
  end,
  scratch = function(row) return "writable, in memory, up to " .. units.show("size", row.size) end,
  bind = function(row)
    return ("the host's %s, %s"):format(row.paths[1], row.mode == "read_only" and "not writable"
      or "WRITABLE")
  end,
  file = function(row) return ("a file of %d bytes, not writable"):format(#row.text) end,
  hidden = function() return "covered: looks empty" end,
}

local function file_rows(data, out)
  for _, row in ipairs(data.files.rows) do
    local effect = file_effect[row.word](row, data)
    if row.optional then effect = effect .. ", where the host has it" end
    for _, path in ipairs(row.paths) do
      out[#out + 1] = { section = "files", row = row.word, what = row.at or path, effect = effect,
        from = row.file .. ":" .. row.line }
    end
  end
end

local function name_text(name) return name.name .. (name.port and ":" .. name.port or "") end

-- Names as they were written: a group is one entry.
local function entries(names)
  local out, by_group = {}, {}
  for _, name in ipairs(names) do
    if name.group and by_group[name.group] then
      table.insert(by_group[name.group].names, name_text(name))
    else
      local entry = { what = name.group or name_text(name), names = { name_text(name) } }
      if name.group then by_group[name.group] = entry end
      out[#out + 1] = entry
    end
  end
  return out
end

local function limits_of(row)
  local out = {}
  if row.requests then out[1] = "at most " .. units.show("rate", row.requests) end
  if row.bandwidth then out[#out + 1] = "at most " .. units.show("bandwidth", row.bandwidth) .. " per second" end
  if row.bytes then out[#out + 1] = "at most " .. units.show("size", row.bytes) .. " in all" end
  return out
end

local function network_effect(row, entry)
  if row.word == "publish" then
    return list({ "reachable from the host at " .. row.on, row.why and "why: " .. row.why }, "; ")
  end
  local parts = { row.word == "deny" and "refused" or "reachable" }
  if entry.names[1] ~= entry.what then parts[1] = parts[1] .. ": " .. list(entry.names) end
  if row.ports then parts[#parts + 1] = "ports " .. list(row.ports) end
  for _, limit in ipairs(limits_of(row)) do parts[#parts + 1] = limit end
  if row.watch then parts[#parts + 1] = "an event when it opens" end
  if row.why then parts[#parts + 1] = "why: " .. row.why end
  return list(parts, "; ")
end

local modes = {
  none = "only the sandbox's own loopback; nothing comes in or goes out",
  open = "every name but internal ones",
  list = "only what the rows below allow, the first that matches wins",
}

local function network_mode(network)
  if network.mode == "list" and network.otherwise == "allow" then
    return "every name but internal ones and what the rows below refuse"
  end
  return modes[network.mode]
end

-- Keys of the whole network: name, type, effect.
local network_keys = {
  { "requests", "rate", "connections at most, of all rows together" },
  { "bandwidth", "bandwidth", "per second in each direction at most, of all rows together" },
  { "dns", nil, "when names are looked up" },
  { "resolver", nil, "the DNS server that is asked" },
}

local function network_rows(data, out)
  local network = data.network
  local from = data.from.network or (data.file .. ":" .. data.line)
  local function add(row, what, effect, where, names)
    out[#out + 1] = { section = "network", row = row, what = what, effect = effect, from = where, names = names }
  end
  add(network.mode, "", network_mode(network), from)
  for _, row in ipairs(network.rows) do
    local found = row.word == "publish" and { { what = list(row.ports), names = { list(row.ports) } } }
      or entries(row.names)
    for _, entry in ipairs(found) do
      add(row.word, entry.what, network_effect(row, entry), row.file .. ":" .. row.line, entry.names)
    end
  end
  if network.mode == "list" then
    add("otherwise", "", network.otherwise == "allow" and "reachable, unless internal" or "refused", network.from)
  end
  for _, key in ipairs(network_keys) do
    local value = network[key[1]]
    if value ~= nil then
      add(key[1], key[2] and units.show(key[2], value) or tostring(value), key[3],
        data.from["network." .. key[1]] or from)
    end
  end
  local hosts = {}
  for name in pairs(network.hosts or {}) do hosts[#hosts + 1] = name end
  table.sort(hosts)
  for _, name in ipairs(hosts) do
    add("hosts", name, network.hosts[name] .. ", not looked up", data.from["network.hosts"] or from)
  end
end

local function limit_rows(data, plan, levels, out)
  for _, name in ipairs { "cpus", "memory", "disk", "time", "processes" } do
    local strict = plan.limits.hold[name] == "hard" and "; must be hard" or ""
    out[#out + 1] = { section = "limits", row = name, what = holding.show(name, plan.limits[name]),
      effect = (levels[name] or "hard") .. strict, held = levels[name],
      from = data.from["limits." .. name] or "default" }
  end
  local files = data.limits.open_files or vocabulary.default("limits", "open_files")
  out[#out + 1] = { section = "limits", row = "open_files", what = units.show("", files),
    effect = "hard: rlimit",
    held = "hard: rlimit", from = data.from["limits.open_files"] or "default" }
  local function more(name, what, effect, held)
    out[#out + 1] = { section = "limits", row = name, what = what, effect = effect, held = held,
      from = data.from["limits." .. name] or "default" }
  end
  local limits = plan.limits
  for _, name in ipairs(holding.OPTIONAL) do
    if limits[name] then more(name, holding.show(name, limits[name]), levels[name], levels[name]) end
  end
  more("grace", units.show("time", limits.grace), "between SIGTERM and SIGKILL")
  more("disk_floor", limits.disk_floor and units.show("size", limits.disk_floor) or "1 GB, or a 20th",
    "stays free on the host's disk, where files are on it")
end

local function process_rows(data, plan, out)
  local function add(name, what, effect)
    out[#out + 1] = { section = "process", row = name, what = what, effect = effect,
      from = data.from["process." .. name] or "default" }
  end
  local capabilities = plan.process.capabilities
  add("user", plan.user.name, ("uid %d in the sandbox, never root of the host"):format(plan.user.uid))
  add("capabilities", #capabilities > 0 and list(capabilities) or "none",
    #capabilities > 0 and "kept by commands, within the sandbox only" or "commands have no privilege")
  add("syscalls", plan.process.syscalls, plan.process.syscalls == "strict" and "no debuggers"
    or "a debugger works on the sandbox's own processes")
  add("ids", plan.ids, plan.ids == "own" and "an ordinary caller's own id; as root a range of ids"
    or "a range of ids of its own")
end

--- The rows: { section, row, what, effect, from, held (limits), names (network) } in order. `data` is loaded
-- with lines; `levels` is what moonbox.holding says of the plan.
function M.rows(data, plan, levels)
  local out = {}
  for _, one in ipairs(data.parameters or {}) do
    out[#out + 1] = { section = "needs", row = one.name, what = "", effect = one.value, from = one.from }
  end
  file_rows(data, out)
  network_rows(data, out)
  limit_rows(data, plan, levels, out)
  process_rows(data, plan, out)
  local names = {}
  for name in pairs(data.env) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    out[#out + 1] = { section = "env", row = name, what = "", effect = data.env[name],
      from = data.from["env." .. name] }
  end
  for _, hook in ipairs(data.hooks) do
    out[#out + 1] = { section = "on", row = hook.name, what = "", effect = "a function of the policy",
      from = hook.file .. ":" .. hook.line }
  end
  return out
end

local function width(text) return select(2, text:gsub("[^\128-\191]", "")) end

local function pad(text, to) return text .. (" "):rep(to - width(text)) end

--- The rows as an aligned table for people. What a terminal obeys never reaches it.
function M.text(data, rows)
  local line = require("moonbox.sanitise").line
  local out = { line(data.name .. ": " .. (data.about or "(says nothing about itself)")),
    line(data.file .. (data.extends and ", extends " .. data.extends.file or "")) }
  local columns = { row = 0, what = 0, effect = 0 }
  for _, row in ipairs(rows) do
    for name in pairs(columns) do
      row[name] = line(row[name])
      columns[name] = math.max(columns[name], math.min(width(row[name]), 60))
    end
  end
  local section
  for _, row in ipairs(rows) do
    if row.section ~= section then
      section = row.section
      out[#out + 1] = "\n" .. section
    end
    local text = ("  %s  %s  %s  %s"):format(pad(row.row, columns.row), pad(row.what, columns.what),
      pad(row.effect, columns.effect), line(row.from or ""))
    out[#out + 1] = (text:gsub("%s+$", ""))
  end
  return table.concat(out, "\n") .. "\n"
end

return M
