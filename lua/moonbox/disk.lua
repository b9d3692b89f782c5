--- Where a sandbox's writable files are on this host, and what its disk limit is held by.
--
-- "memory": a tmpfs. "image": an ext4 image of the sandbox's own, where moonbox is root and the host has loop devices
-- and mke2fs (core/image). "folder": a directory of the host, which is measured now and then.
local core = require "moonbox.core"

local sys = core.sys

local M = {}

--- Seconds between looks at the host's free space while a sandbox writes to it.
M.FLOOR_PERIOD = 0.25

local MOST_TEMPLATES = 16
local LARGEST_FLOOR, FLOOR_SHARE = 2 ^ 30, 1 / 20
local PRIVATE = 448 -- 0700

local possible, why_not

--- The kind of storage of a plan here, and for a folder why it is no image.
function M.kind(plan)
  if plan.storage.kind == "memory" then return "memory" end
  if possible == nil then
    local can, message = core.image.possible()
    possible, why_not = can or false, message
  end
  return possible and "image" or "folder", why_not
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

--- What must stay free of the host's disk, in bytes: as the policy says, or the smaller of 1 GB and a twentieth.
function M.floor(plan, root)
  if plan.limits.disk_floor then return plan.limits.disk_floor end
  local host = sys.filesystem(root)
  return host and math.min(LARGEST_FLOOR, math.floor(host.size * FLOOR_SHARE)) or LARGEST_FLOOR
end

--- Bytes that the host has free above the floor; 0 or less: a sandbox that writes to it must not go on.
function M.headroom(plan, root)
  local host = sys.filesystem(root)
  return host and host.free - M.floor(plan, root) or 0
end

return M
