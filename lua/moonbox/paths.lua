--- Which paths policy rows may name, and why not. Text only: nothing here touches the file system, so that a
-- policy means the same on every host; the host's symbolic links are judged again when the plan is made.
local M = {}

local function under(path, tree) return path == tree or path:sub(1, #tree + 1) == tree .. "/" end

local function any(path, trees)
  for _, tree in ipairs(trees) do
    if under(path, tree) then return tree end
  end
end

-- The sandbox's child goes down and up again for each directory that it makes (core/place), on a stack of fixed size.
local DEEPEST = 128

--- nil when `path` is absolute and normal (no `.`, `..`, `//`, trailing slash, control bytes), else what is
-- wrong.
function M.wrong(path)
  if type(path) ~= "string" then return "is no path" end
  if path == "" then return "is empty" end
  if path:find("[%z\1-\31\127]") then return "has a control character" end
  if #path > 4000 then return "is longer than a path may be" end
  if path:sub(1, 1) == "~" then return "starts with ~, which only a shell knows; write the whole path" end
  if path:find("$", 1, true) then return "has a $; paths are written out" end
  if path:sub(1, 1) ~= "/" then return "is not absolute; it starts with /" end
  if path == "/" then return nil end
  if select(2, path:gsub("/", "")) > DEEPEST then return "is deeper than " .. DEEPEST .. " directories" end
  for part in (path:sub(2) .. "/"):gmatch("([^/]*)/") do
    if part == "" then return "has a double or trailing slash" end
    if part == "." or part == ".." then return 'has a "' .. part .. '" in it; write the path it means' end
    if #part > 255 then return "has a part longer than 255 bytes" end
  end
end

local system = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/boot", "/sys" }

--- Why nothing may be mounted at `path` inside by a row of this word; nil when it may.
function M.target(word, path)
  if path == "/" then return "is the root itself; name what is needed below it" end
  if under(path, "/proc") then return "is in /proc, which moonbox makes itself" end
  if under(path, "/sys") then return "is in /sys, which is not shown in a sandbox" end
  if under(path, "/dev") and not (word == "scratch" and path == "/dev/shm") and word ~= "hidden" then
    return "is in /dev, which moonbox makes itself"
  end
  if under(path, "/run/moonbox") then return "is in /run/moonbox, which moonbox keeps for itself" end
  if word == "read_write" or word == "scratch" then
    local tree = any(path, system)
    if tree then return "is a system directory; keep what is writable outside of " .. tree end
  end
end

local sockets = { "docker.sock", "podman.sock", "containerd.sock", "crio.sock", "buildkitd.sock",
  "system_bus_socket",
  "lxd.socket", "incus.socket", "libvirt-sock" }

-- Directories that hold sockets or state of the host's own services.
local services = { "/run", "/var/run", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers",
  "/var/lib/lxd",
  "/var/lib/incus", "/var/lib/kubelet" }

--- The directories where moonbox keeps its state, for this environment (a function name -> value).
function M.state_directories(getenv)
  getenv = getenv or os.getenv
  local out = { "/var/lib/moonbox" }
  local home, state = getenv("HOME"), getenv("XDG_STATE_HOME")
  if home and home:sub(1, 1) == "/" then out[#out + 1] = home:gsub("/+$", "") .. "/.local/state/moonbox" end
  if state and state:sub(1, 1) == "/" then out[#out + 1] = state:gsub("/+$", "") .. "/moonbox" end
  local own = getenv("MOONBOX_STATE")
  if own and own:sub(1, 1) == "/" then out[#out + 1] = (own:gsub("/+$", "")) end
  return out
end

--- Why the host's `path` may not be shown in a sandbox; nil when it may. `getenv` as in state_directories.
function M.source(path, getenv)
  if path == "/" then return "is the whole host; name what is needed below it" end
  for _, tree in ipairs { "/proc", "/sys", "/dev" } do
    if under(path, tree) then return "is in " .. tree .. " of the host, which reaches the kernel" end
  end
  local base = path:match("([^/]*)$")
  for _, socket in ipairs(sockets) do
    if base == socket then return "is a control socket of the host; whoever reaches it owns the host" end
  end
  local tree = any(path, services)
  if tree then
    return "is in " .. tree .. ", where the host's services keep sockets and state"
  end
  for _, state in ipairs(M.state_directories(getenv)) do
    if under(path, state) then return "is in moonbox's own state directory" end
    if under(state, path) then
      return "holds moonbox's own state directory " .. state .. "; name what is needed in it"
    end
  end
  if under("/var/lib/docker", path) then
    return "holds the state of the host's services; name what is needed in it"
  end
end

return M
