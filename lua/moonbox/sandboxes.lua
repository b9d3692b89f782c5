--- Sandboxes by id on disk: one folder each, and whether its supervisor lives.
--
--   <state>/sandboxes/<id>/lock           held (flock) by the supervisor for as long as it lives
--                          sandbox.json   what the sandbox is: state, policy, when, how it ended
--                          plan.json      what its supervisor executes
--                          control        the supervisor's socket (core/control)
--                          events.jsonl, flows.jsonl, supervisor.log
--                          logs/          what commands wrote (core/command_log)
--
-- A folder appears complete, under its name, with its lock held: it is made beside its place and renamed there. From
-- then on the state in sandbox.json is true while the lock is held. When it is not, the supervisor has died, and
-- whoever looks first puts the record right and cleans up (M.reconcile).
local core = require "moonbox.core"
local failpoint = require "moonbox.failpoint"
local json = require "moonbox.json"
local records = require "moonbox.sandbox_record"

local sys = core.sys

local M = {}

--- What a folder's sandbox.json and plan.json say (moonbox.sandbox_record).
M.read, M.plan = records.read, records.plan

local PRIVATE_FOLDER, PRIVATE = 448, 384 -- 0700, 0600
local MOST_TRIES = 16

--- Seconds that the processes of a dead supervisor get to clean up by themselves, and that a supervisor whose state
-- is being looked at gets to be between two states.
M.SETTLE = 5

--- Seconds after which a supervisor that says nothing is taken to be stopped, and alive.
M.ANSWER = 1

--- Is `id` a sandbox's id? Nothing else is ever joined to a path.
function M.valid(id)
  return type(id) == "string" and #id <= 40 and id:find("^[a-z0-9][a-z0-9-]*$") ~= nil
end

local function root_of(root)
  local message
  if not root then root, message = require("moonbox.task").root() end
  return root, message
end

--- The folder of sandbox `id`, whether it exists or not. Raises on an id that isn't one. Returns nil, message where
-- no state directory is known.
function M.dir(id, root)
  assert(M.valid(id), "not a sandbox's id")
  local message
  root, message = root_of(root)
  return root and root .. "/sandboxes/" .. id, message
end

--- The sorted ids of all sandboxes.
function M.ids(root)
  local out = {}
  root = root_of(root)
  for _, name in ipairs(root and sys.list(root .. "/sandboxes") or {}) do
    if M.valid(name) then out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

local Folder = { kind = "sandbox" }
Folder.__index = Folder

--- A path inside the folder; `name` is moonbox's own.
function Folder:file(name) return self.path .. "/" .. name end

--- The folder of `id` as moonbox.record wants it.
function M.folder(id, path) return setmetatable({ id = id, path = path }, Folder) end

-- The numbers of commands are counted in a file (core/command_log).
local function make_logs(path)
  local made, message, code = sys.mkdir(path, PRIVATE_FOLDER)
  local count
  if made then count, message, code = sys.append_open(path .. "/count") end
  if not count then return nil, message, code end
  made, message, code = count:write(("\0"):rep(8))
  count:close()
  return made, message, code
end

local function fill(path, data, plan)
  local made, message, code = failpoint("create", "make the folder")
  if made then made, message, code = sys.mkdir(path, PRIVATE_FOLDER) end
  if not made then return nil, message, code end
  data.place = records.place(path)
  local lock
  lock, message, code = sys.lock(path .. "/lock")
  if not lock then return nil, message, code end
  made, message, code = require("moonbox.holder").write(path)
  if made then made, message, code = make_logs(path .. "/logs") end
  if made then made, message, code = failpoint("create", "write the plan") end
  if made then
    made, message, code = sys.write_file(path .. "/plan.json", require("moonbox.cli.plan").text(plan), PRIVATE)
  end
  if made then made, message, code = failpoint("create", "write the record") end
  if made then made, message, code = records.write(path .. "/sandbox.json", data) end
  if made then return lock end
  lock:close()
  return nil, message, code
end

-- What says that a name was taken by another sandbox, and that a folder was swept before it was locked.
local TAKEN = { ENOTEMPTY = true, EEXIST = true }
local SWEPT = { ENOENT = true, EWOULDBLOCK = true }

-- Makes the folder of `data.id` beside its place and moves it there. Returns it, or nil, sentence, CODE.
local function place(data, plan, root)
  local beside, path = root .. "/sandboxes/.new-" .. sys.random_hex(8), M.dir(data.id, root)
  local lock, message, code = fill(beside, data, plan)
  local done
  if lock then done, message, code = failpoint("create", "give the folder its name") end
  if done then done, message, code = sys.rename(beside, path) end
  if done then return setmetatable({ id = data.id, path = path, lock = lock, root = root }, Folder) end
  sys.remove_tree(beside)
  if lock then lock:close() end
  return nil, message, code
end

--- Makes the folder of a new sandbox, with its lock held. `data` are fields of sandbox.json. Returns it, or nil,
-- sentence, CODE: "EEXIST" when there is a sandbox of that id.
function M.create(id, data, plan)
  local root, message = root_of()
  if not root then return nil, message end
  local made
  made, message = sys.mkdirs(root .. "/sandboxes", PRIVATE_FOLDER)
  if not made then return nil, message end
  local info = sys.lstat(root .. "/sandboxes")
  if not info or info.kind ~= "directory" or info.uid ~= sys.euid() then
    return nil, root .. "/sandboxes: not a directory of the user who runs moonbox"
  end
  for _ = 1, MOST_TRIES do
    data.id = id or sys.random_hex(6)
    local folder, code
    folder, message, code = place(data, plan, root)
    if folder then return folder end
    if id and TAKEN[code] then return nil, ("there is a sandbox %s already"):format(id), "EEXIST" end
    if not TAKEN[code] and not SWEPT[code] then break end
  end
  return nil, message
end

-- Keeps a folder that makes no sense for people to look at, out of everybody's way.
local function quarantine(path, root)
  local name = ("%s/sandboxes/.corrupt-%s-%s"):format(root, path:match("[^/]+$"), sys.random_hex(4))
  sys.unlink(path .. "/control")
  return sys.rename(path, name) and name
end

-- The supervisor is dead and its lock is ours: what it left goes, and the record says so.
local function settle(path, data, root)
  sys.unlink(path .. "/control")
  if not failpoint("settle", "remove what is left") then return false end
  -- A copy of a folder names what the original has, which may live.
  local clean = data.place ~= records.place(path) or core.control.clean(root .. "/boxes", data.box, M.SETTLE)
  if data.state == "ended" then return clean end
  data.state, data.ended_by, data.ended = "ended", "lost", require("moonbox.record").time()
  data.code, data.sentence = 137, "its supervisor was killed, or found no room for its last word"
  local written = failpoint("settle", "write the record") and records.write(path .. "/sandbox.json", data)
  local events = written and sys.append_open(path .. "/events.jsonl")
  if events then
    events:write(json.encode { time = data.ended, event = "ended", sandbox = data.id, ended_by = "lost",
      sentence = data.sentence } .. "\n")
    events:close()
  end
  return clean
end

-- Whether a supervisor answers at its socket; it does from before its state is `running` until after it is `ended`.
local function answers(path)
  local question = core.control.ask(path, json.encode { ask = "nothing" })
  if not question then return false end
  -- One that is being killed still takes connections for a moment; one that is stopped (SIGSTOP) lives.
  local text, _, code = question:answer(M.ANSWER)
  return text ~= nil or code == "ETIME"
end

--- Looks at a sandbox and, when its supervisor has died, puts its record right and removes what it left.
-- Returns what sandbox.json says, and whether the supervisor lives; or nil and a sentence: there is none, or its
-- folder was no sandbox's and has been set aside.
function M.look(id, root)
  local path, message = M.dir(id, root)
  if not path then return nil, message end
  root = root_of(root)
  local till = sys.monotonic() + M.SETTLE
  while true do
    local there, unseen, errno = sys.lstat(path)
    if not there and errno ~= "ENOENT" then return nil, unseen end
    if not there then return nil, ("there is no sandbox %s in %s/sandboxes"):format(id, root) end
    local lock, why, code = sys.lock(path .. "/lock")
    local data, trouble = records.read(path)
    if lock then
      if data then
        local clean = settle(path, data, root)
        lock:close()
        return data, false, clean
      end
      local aside = sys.lstat(path) and quarantine(path, root)
      lock:close()
      if aside then return nil, ("%s; it was set aside as %s"):format(trouble, aside) end
    elseif code ~= "EWOULDBLOCK" and code ~= "ENOENT" then
      return nil, why
    elseif data and (data.state == "creating" or answers(path)) then
      return data, true
    end
    if sys.monotonic() > till then
      if data then return data, true end
      return nil, trouble
    end
    sys.sleep(0.01)
  end
end

--- Kills the supervisor that a record tells of, if it is still the process that wrote that: by its pid, when that
-- began, and which start of the machine that was.
function M.kill(data)
  return data.pid and data.boot == records.boot() and core.control.kill(data.pid, data.pid_started)
end

--- Sends a request to a sandbox's supervisor and waits at most `seconds` for the answer: a table; or nil, sentence,
-- CODE.
function M.ask(path, request, seconds)
  local question, message, code = core.control.ask(path, json.encode(request))
  if not question then return nil, message, code end
  local text
  text, message, code = question:answer(seconds)
  if not text then return nil, message, code end
  local answer = json.decode(text)
  if type(answer) ~= "table" then return nil, "the sandbox's supervisor spoke nonsense", "EPROTO" end
  if answer.error then return nil, answer.error, answer.code end
  return answer
end

--- Removes the folder of a sandbox whose supervisor is dead. It goes under another name first, so that its id is free
-- at once and nobody sees half of it. Its lock is held meanwhile: who looks at it then takes no other that gets its id
-- for it. Returns true, or nil and a sentence.
function M.remove(id, root)
  root = root_of(root)
  local path, till = M.dir(id, root), sys.monotonic() + M.SETTLE
  local gone = ("%s/sandboxes/.gone-%s"):format(root, sys.random_hex(8))
  local lock, message, code
  repeat
    if not sys.lstat(path) then return true end
    lock, message, code = sys.lock(path .. "/lock")
    if not lock and code == "EWOULDBLOCK" then sys.sleep(0.01) end
  until lock or (code ~= "EWOULDBLOCK" and code ~= "ENOENT") or sys.monotonic() > till
  if not lock then return nil, code == "EWOULDBLOCK" and ("the sandbox %s runs"):format(id) or message end
  local renamed
  renamed, message = failpoint("destroy", "take the folder's name")
  if renamed then renamed, message = sys.rename(path, gone) end
  lock:close()
  if renamed then renamed, message = failpoint("destroy", "remove the folder") end
  if not renamed then return nil, message end
  return sys.remove_tree(gone)
end

-- Folders that creating or removing left half done: those that nobody holds.
local function sweep(root)
  local swept = 0
  for _, name in ipairs(sys.list(root .. "/sandboxes") or {}) do
    local path = root .. "/sandboxes/" .. name
    local lock = name:find("^%.new%-") and sys.lock(path .. "/lock")
    if lock or name:find("^%.gone%-") then
      if sys.remove_tree(path) then swept = swept + 1 end
    end
    if lock then lock:close() end
  end
  return swept
end

--- Looks at every sandbox and sweeps what is left of others. Returns { lost = ids whose supervisor was found dead,
-- kept = ids whose leftovers could not all be removed, set_aside = sentences, swept = number }.
function M.reconcile(root)
  local out = { lost = {}, kept = {}, set_aside = {}, swept = 0 }
  root = root_of(root)
  if not root then return out end
  for _, id in ipairs(M.ids(root)) do
    local before = records.read(M.dir(id, root))
    local data, alive, clean = M.look(id, root)
    if not data then
      if sys.lstat(M.dir(id, root)) == nil and before == nil then out.set_aside[#out.set_aside + 1] = alive end
    elseif not alive then
      if before and before.state ~= "ended" and data.ended_by == "lost" then out.lost[#out.lost + 1] = id end
      if clean == false then out.kept[#out.kept + 1] = id end
    end
  end
  out.swept = sweep(root)
  return out
end

return M
