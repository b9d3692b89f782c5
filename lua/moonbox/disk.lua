--- Where a sandbox's writable files are on this host, and what its disk limit is held by.
--
-- "memory": a tmpfs. "image": an ext4 image of the sandbox's own, where moonbox is root, and the host has loop devices,
-- mke2fs and a state directory that can hold one (core/image). "folder": a directory of the host under an
-- overlay, which is measured now and then. "none": the state directory's filesystem can carry neither.
local core = require "moonbox.core"

local sys = core.sys

local M = {}

local MOST_TEMPLATES = 16
local LARGEST_FLOOR, LARGEST_FILES_FLOOR, FLOOR_SHARE = 2 ^ 30, 65536, 1 / 20
local PRIVATE = 448 -- 0700

-- By state directory: { kind =, why =, tried = what has been found to work just now }.
local found = {}

--- Where things are tried: the folder of storage, in which what a killed attempt left is swept (core/leftovers), or the
-- nearest that exists: trying must not be what makes the state directory `root`.
function M.trial(root)
  local path = root .. "/boxes"
  while path ~= "/" and not sys.stat(path) do path = path:match("^(.+)/[^/]*$") or "/" end
  return path
end

-- An empty file that says that something has worked on this filesystem since the host's last boot: to try it costs as
-- much as several starts.
local function proof(root, what)
  local boot = (sys.read_file("/proc/sys/kernel/random/boot_id", 64) or ""):match("^[%x-]*")
  return ("%s/cache/works-%s-%s-%s"):format(root, what, (sys.identity(root) or ""):match("^%x*"), boot)
end

local attempts = {}

function attempts.image(folder) return core.image.try(folder) end

-- Whatever else keeps namespaces from being made is said where they are made.
function attempts.overlay(folder)
  local fact = core.probe.one("overlay", folder)
  if fact.ok or not fact.detail:find("overlay", 1, true) then return true end
  return nil, fact.code and ("%s: %s"):format(fact.detail, fact.code) or fact.detail
end

local function works(root, what, tried)
  if sys.lstat(proof(root, what)) then return true end
  local can, why = attempts[what](M.trial(root))
  if can then tried[#tried + 1] = what end
  return can, why
end

local function look(root)
  local out = { kind = "folder", tried = {} }
  if not root then return out end
  local can, why = core.image.possible()
  if can then can, why = works(root, "image", out.tried) end
  out.why = why
  if can then
    out.kind = "image"
  else
    can, why = works(root, "overlay", out.tried)
    if not can then out.kind, out.why = "none", ("%s; %s"):format(out.why, why) end
  end
  return out
end

--- The kind of storage of a plan here, and where it is no image why not. What is said has been tried, on the state
-- directory's own filesystem.
function M.kind(plan)
  if plan.storage.kind == "memory" then return "memory" end
  local root = require("moonbox.task").root() or false
  found[root] = found[root] or look(root)
  return found[root].kind, found[root].why
end

--- The disk that the state directory is on, as "MAJOR:MINOR"; nil and why where it is none whose use could be limited.
function M.device()
  return core.image.disk(M.trial(require("moonbox.task").root() or "/"))
end

--- Writes down what was found to work, once the state directory is there.
function M.remember(root)
  local tried = found[root] and found[root].tried or {}
  if #tried == 0 or not sys.mkdirs(root .. "/cache", PRIVATE) then return end
  for _, what in ipairs(tried) do sys.write_file(proof(root, what), "") end
  found[root].tried = {}
end

local function make_room(directory)
  local names = sys.list(directory) or {}
  for _, name in ipairs(#names >= MOST_TEMPLATES and names or {}) do sys.unlink(directory .. "/" .. name) end
end

--- The path of the empty image that the disk of a plan is a copy of, made when it is not there. `root` is the state
-- directory. An image larger than the filesystem it lies on would hold no more. Returns nil and a sentence otherwise.
function M.template(plan, root)
  local directory = root .. "/images"
  local host, message = sys.filesystem(root)
  if not host then return nil, message end
  local bytes = math.min(plan.storage.total or plan.storage.size, host.size)
  local inodes = math.min(plan.storage.inodes, math.max(8192, math.floor(bytes / 4096)))
  local path = ("%s/%.0f-%.0f.ext4"):format(directory, bytes, inodes)
  if sys.lstat(path) then return path end
  local made
  made, message = sys.mkdirs(directory, PRIVATE)
  if not made then return nil, message end
  make_room(directory)
  made, message = core.image.make_template(path, bytes, inodes)
  return made and path, message
end

-- What must stay free, in bytes: as the policy says, or the smaller of 1 GB and a twentieth.
local function floor(plan, host)
  return plan.limits.disk_floor or math.min(LARGEST_FLOOR, math.floor(host.size * FLOOR_SHARE))
end

--- What must stay free of the host's disk, and is not free any more, in words, in which `show` says bytes: a sandbox of
-- this kind of storage must not go on then. Nil while there is more. Files of a folder are the host's own: the smaller
-- of 65536 and a twentieth stay free where a filesystem has only so many.
function M.shortage(plan, root, kind, show)
  local host = sys.filesystem(root)
  if not host then return show(plan.limits.disk_floor or LARGEST_FLOOR) end
  local bytes = floor(plan, host)
  if host.free <= bytes then return show(bytes) end
  local files = bytes == 0 and 0 or math.min(LARGEST_FILES_FLOOR, math.floor(host.files * FLOOR_SHARE))
  if kind == "folder" and host.files > 0 and host.files_free <= files then return ("%d files"):format(files) end
end

return M
