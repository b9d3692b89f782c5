--- One run of a pipeline on disk: its id, its directory, the lock that says it is alive.
--
--   <state>/tasks/<id>/lock            held (flock) by the running moonbox; removed when the task has ended
--                      task.json       what the task is and how it ended
--                      events.jsonl    one line per event
--                      logs/01-clone.log
--                      workspace.patch gives/ files.tar
--                      fs/             the task's writable filesystem; removed at the end
--
-- <state> is $MOONBOX_STATE, else /var/lib/moonbox for root, else $XDG_STATE_HOME/moonbox, else
-- ~/.local/state/moonbox (XDG Base Directory Specification: a relative XDG_STATE_HOME is ignored).

local core = require "moonbox.core"

local sys = core.sys
local ID = "^%d%d%d%d%d%d%d%d%-%d%d%d%d%d%d%-%x%x%x%x%x%x$"
local ID_TRIES = 16

local M = {}
M.__index = M

--- Is `id` exactly the form of a task's id? Nothing else is ever joined to a path.
function M.valid(id)
  return type(id) == "string" and id:find(ID) ~= nil and not id:find("%u")
end

--- A new id: UTC time, so that ids sort by age, and 24 random bits.
function M.new_id(now, random)
  return os.date("!%Y%m%d-%H%M%S-", math.floor(now or sys.realtime())) .. (random or sys.random_hex(3))
end

--- The state directory's path, by the rule above. Returns nil, message where no home is known.
function M.root(getenv, euid)
  getenv = getenv or os.getenv
  local function set(name)
    local value = getenv(name)
    return value and value:sub(1, 1) == "/" and value or nil
  end
  local given = getenv("MOONBOX_STATE")
  if given and given ~= "" then
    if given:sub(1, 1) ~= "/" then return nil, "MOONBOX_STATE must be an absolute path; it is " .. given end
    return given
  end
  if (euid or sys.euid()) == 0 then return "/var/lib/moonbox" end
  if set("XDG_STATE_HOME") then return set("XDG_STATE_HOME") .. "/moonbox" end
  if set("HOME") then return set("HOME") .. "/.local/state/moonbox" end
  return nil, "no state directory is known: set HOME or MOONBOX_STATE to an absolute path"
end

--- The directory of task `id`, whether it exists or not. Raises on an id that isn't one.
function M.dir(root, id)
  assert(M.valid(id), "not a task id")
  return root .. "/tasks/" .. id
end

local function make_private(path)
  local made, message = sys.mkdirs(path, 448) -- 0700: a record holds prompts and sources
  if not made then return nil, message end
  local info = sys.lstat(path)
  if not info or info.kind ~= "directory" or info.uid ~= sys.euid() then
    return nil, path .. ": not a directory of the user who runs moonbox"
  end
  return true
end

-- Another moonbox may look at a new directory before its lock is held; then a new id is taken.
local function claim(root, id)
  local dir = M.dir(root, id)
  local made, message, code = sys.mkdir(dir, 448)
  if not made then return nil, message, code end
  local lock, why = sys.lock(dir .. "/lock")
  if not lock then
    sys.remove_tree(dir)
    return nil, why, "EEXIST"
  end
  return setmetatable({ id = id, root = root, path = dir, lock = lock }, M)
end

--- Makes a task's directory and holds its lock. Returns the task, or nil, message.
function M.create(root)
  local ready, message = make_private(root .. "/tasks")
  if not ready then return nil, message end
  local task, code
  for _ = 1, ID_TRIES do
    task, message, code = claim(root, M.new_id())
    if task or code ~= "EEXIST" then break end
  end
  if not task then return nil, message end
  for _, name in ipairs { "logs", "fs" } do
    local made
    made, message = sys.mkdir(task:file(name), 448)
    if not made then return nil, message end
  end
  return task
end

--- A path inside the task's directory; `name` is the engine's own, never a user's.
function M:file(name)
  return self.path .. "/" .. name
end

--- The file name of step `number`'s log: other characters than letters, digits, `.`, `_` and `-` become `_`.
function M.log_name(number, step)
  return string.format("logs/%02d-%s.log", number, (step:gsub("[^%w._-]", "_"):sub(1, 60)))
end

--- Ends the task on disk: the filesystem goes, the lock file goes, the lock is let go.
-- Returns true, or nil, message when the filesystem couldn't be removed.
function M:finish()
  local gone, message = sys.remove_tree(self:file("fs"))
  sys.unlink(self:file("lock"))
  self.lock:close()
  return gone, message
end

-- A task whose lock nobody holds has ended, or its moonbox died.
local function reconcile_one(root, id, mark)
  local dir = M.dir(root, id)
  if not sys.lstat(dir .. "/lock") then return nil end
  local lock = sys.lock(dir .. "/lock")
  if not lock then return nil end
  local lost = mark(dir)
  if lost ~= nil then
    if lost then sys.remove_tree(dir .. "/fs") end
    sys.unlink(dir .. "/lock")
  end
  lock:close()
  return lost and id or nil
end

--- Finds the tasks whose moonbox died: `mark(dir)` rewrites their record (moonbox.record.mark_lost: true when
-- the record said running, false when it had ended, nil when there is no record to judge by) and their fs/ is
-- removed. Costs one lstat per past task. Returns the array of ids that were marked.
function M.reconcile(root, mark)
  local lost = {}
  for _, id in ipairs(sys.list(root .. "/tasks") or {}) do
    if M.valid(id) then lost[#lost + 1] = reconcile_one(root, id, mark) end
  end
  return lost
end

return M
