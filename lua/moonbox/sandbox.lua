--- Sandboxes: opens one from a plan, runs commands in it, ends it.
--
-- Reading order: open() here, moonbox.supervise for what happens while a command runs, core/launch.c for what a
-- sandbox is made of.
local core = require "moonbox.core"
local stdio = require "moonbox.stdio"

local sys = core.sys

local M = {}

--- Values for `stdin`, `stdout`, `stderr` of box:exec: the caller's own; kept and returned; the same as stdout.
M.INHERIT, M.CAPTURE, M.STDOUT = stdio.INHERIT, stdio.CAPTURE, stdio.STDOUT

--- Exit codes of sysexits(3) and of DESIGN: the host can't give what is asked; the sandbox could not be started.
M.CANNOT, M.NOT_STARTED = 69, 125

--- The exit code for a sandbox that could not be set up: ENONET says that this host can't give it a network
-- (core/capture.h).
function M.failure(code)
  return code == "ENONET" and M.CANNOT or M.NOT_STARTED
end

local Box = {}
Box.__index = Box

-- The keepers of storage folders, by path, and the boxes that are open on them: an overlay's upper directory under two
-- mounts at once is undefined (kernel Documentation/filesystems/overlayfs).
local storages, users = {}, {}

local state_root

-- The state directory, made where it is missing. What killed keepers left in it goes once in a program's life, before
-- the first box: doing it while that box sets up was slower, as both share a processor then.
local function state()
  if state_root then return state_root end
  local root, message = require("moonbox.task").root()
  if not root then return nil, message end
  for _, name in ipairs { "", "/boxes", "/ids" } do
    local made, why = sys.mkdirs(root .. name, 448)
    if not made then return nil, why end
  end
  state_root = root
  core.sweep(root .. "/boxes")
  return root
end

--- Does what does not depend on a plan yet: looks for control groups, makes the state directories, loads what opening a
-- box needs. Trouble shows when a box is opened.
function M.prepare()
  core.cgroups()
  state()
  require "moonbox.supervise"
end

local function make_keeper(box, options, plan)
  local disk = require "moonbox.disk"
  disk.remember(box.root)
  local request = { lock_dir = box.root .. "/ids", period = require("moonbox.holding").DISK_PERIOD }
  if box.disk == "folder" then
    request.path = options.storage and options.storage .. "/data" or box.root .. "/boxes/" .. box.id
  end
  for tries = 1, 2 do
    if box.disk == "image" then
      local why
      request.template, why = disk.template(plan, box.root)
      if not request.template then return nil, why end
    end
    local keeper, message, code = core.keeper(box.handle, request)
    -- Another moonbox may have made room among the templates meanwhile.
    if keeper or code ~= "ENOENT" or tries == 2 then return keeper, message end
  end
end

-- The keeper of a box: the one that owns the storage it is opened on, or one of its own.
local function keeper_for(box, options, plan)
  if box.disk == "memory" and box.groups.unified == "" and box.groups.memory.version == 0 then
    return true -- nothing of it will be on the host but processes
  end
  local shared = options.storage and storages[options.storage]
  if shared then
    box.keeper, box.shares_storage = shared, true
    return true
  end
  local keeper, message = make_keeper(box, options, plan)
  if not keeper then return nil, message end
  box.keeper = keeper
  if options.storage then storages[options.storage] = keeper else box.own_keeper = keeper end
  box.shares_storage = options.storage ~= nil
  return true
end

local function refuse(plan, groups)
  local holding = require "moonbox.holding"
  local refusals = holding.refusals(plan, holding.levels(plan, groups))
  return #refusals > 0 and table.concat(refusals, "; ") or nil
end

local function no_room(box)
  if box.disk == "memory" then return nil end
  local function show(bytes) return require("moonbox.units").show("size", bytes) end
  local shortage = require("moonbox.disk").shortage(box.plan, box.root, box.disk, show)
  return shortage and ("the host has no room for a sandbox: %s must stay free where %s is (limits.disk_floor), and "
    .. "less is; free some, or set MOONBOX_STATE to a folder on a larger disk"):format(shortage, box.root)
end

-- What the gateway of a plan needs to know: the file of flows, the step named in it, and a function that the gateway
-- calls once, while it may still read files, for the decision of `on.connect` (moonbox.hooks.connect).
local function network_options(plan, options)
  if plan.network.mode == "none" then return nil end
  for _, hook in ipairs(plan.hooks or {}) do
    if hook.name == "connect" then
      return options.flows, options.step, function() return require("moonbox.hooks").connect(plan.hooks) end
    end
  end
  return options.flows, options.step
end

local function launch(box, options)
  local flows, step, connect = network_options(box.plan, options)
  return core.launch(box.handle, { flows = flows, step = step, connect = connect, lock_dir = box.root .. "/ids",
    name = box.id, keeper = box.keeper, cgroups = true, signals = options.signals, leaves = options.leaves,
    pin = require("moonbox.holding").pin(box.plan, box.groups) })
end

local function open_new(plan, options)
  local groups = core.cgroups()
  local why = refuse(plan, groups)
  if why then return nil, why, M.CANNOT end
  local root, message = state()
  if not root then return nil, message, M.NOT_STARTED end
  if options.storage and users[options.storage] then
    return nil, "another sandbox is open on the storage " .. options.storage, M.NOT_STARTED
  end
  local box = setmetatable({ plan = plan, root = root, groups = groups, id = options.id or sys.random_hex(8),
    handle = core.plan(plan), on_event = options.on_event or function() end, oom_kills = 0,
    disk = require("moonbox.disk").kind(plan) }, Box)
  why = no_room(box)
  if why then return nil, why, M.CANNOT end
  local head_start = require "moonbox.head_start"
  local terms = head_start.terms(box, options)
  local taken
  taken, message = head_start.take(box, terms)
  if not taken then return nil, message, M.NOT_STARTED end
  -- Before anything of the sandbox is there (a head start has no hooks): their process then holds nothing of it.
  box.monitor, message = require("moonbox.monitor").new(box, options.on_event ~= nil)
  if not box.monitor then return nil, message, M.NOT_STARTED end
  local kept, code = box.running ~= nil, nil
  if not kept then kept, message = keeper_for(box, options, plan) end
  if not kept then
    box.monitor:close()
    return nil, message, M.NOT_STARTED
  end
  if options.storage then
    users[options.storage], box.storage = box, options.storage
  end
  if not box.running then
    box.running, message, code = launch(box, options)
  end
  if not box.running then
    box:close()
    return nil, message, M.failure(code), code
  end
  if terms then core.head_start.keep(box.handle, terms, options.policy_files) end
  box.published = plan.network.mode ~= "none" and require("moonbox.published").of(plan, box.running) or {}
  if not options.early then
    local ready
    ready, message, code = box.running:ready()
    if not ready then
      box:close()
      return nil, message, M.failure(code), code
    end
  end
  return box
end

-- A box that was made ahead: nil when there is none, or when the options want what only a new one can have.
local function from_pool(plan, options)
  if options.storage or options.signals or options.flows then return nil end
  local box = require("moonbox.pool").take(plan)
  if not box then return nil end
  if not options.early and not box.running:ready() then
    box:close()
    return nil
  end
  box.on_event, box.pooled = options.on_event or box.on_event, true
  return box
end

--- Opens a sandbox. Options: `storage`, an existing private directory that keeps the writable files between boxes
-- (until M.release); `signals`, to be told of SIGINT and the like; `on_event(event)`; `early`, to return before the
-- sandbox is set up: trouble with that then shows at the first command; `flows`, the path of the file that the gateway
-- appends what is reached and refused to, in which `step` is named; without it that is not written down; `id`, the name
-- of what it has on the host, 16 random hexadecimal digits; `policy_files`, what is known of the policy's files
-- (moonbox.plan, begin); `leaves`, a control group for each of its commands where the host can (moonbox.memory).
-- Returns a box, or nil, sentence, exit code. `box.published` says where published ports are, and so does an event for
-- each: { { port = 8080, at = "127.0.0.1:41235", rule = "FILE:LINE" }, … }.
function M.open(plan, options)
  options = options or {}
  local box, message, exit_code, code = from_pool(plan, options), nil, nil, nil
  if not box then box, message, exit_code, code = open_new(plan, options) end
  if not box then return nil, message, exit_code, code end
  if #box.published > 0 then require("moonbox.published").tell(box) end
  return box
end

--- Keeps `count` boxes ready for M.open(plan) with no other options than `on_event` and `early`: each that is taken is
-- made up for while its first command runs. A box that waits executes the plan as it is now, so a plan that has boxes
-- ready must not be changed. 0 ends those that wait; they end with the program in any case.
-- Returns true, or nil, sentence, exit code.
function M.ready(plan, count)
  return require("moonbox.pool").keep(plan, count, function() return open_new(plan, { early = true }) end)
end

local function environment(plan, extra)
  local values, names, out = {}, {}, {}
  for _, pair in ipairs(plan.env) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    values[name] = value
  end
  for name, value in pairs(extra or {}) do values[name] = value end
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = name .. "=" .. values[name] end
  return out
end

--- Runs a command to its end. `spec`: run (array), env, cwd, stdin, stdout, stderr, keep, time (seconds), tty,
-- files (`run` is a request of moonbox.files), forward (signals go to the command instead of ending it), last
-- (everything in the box ends with it, and the box can only be closed then), on_output(stream, bytes), on_tick().
-- Returns an outcome (moonbox.supervise), or nil, sentence, exit code when the sandbox itself failed.
function Box:exec(spec)
  if not self.running then return nil, "the sandbox has ended", M.NOT_STARTED end
  local rows, cols = stdio.size(spec.tty)
  local early = self.started
  self.started = nil
  if early then return require("moonbox.supervise").run(self, early.id, spec, early.began) end
  local began = sys.monotonic()
  local id, message = self.running:start {
    argv = spec.run, env = environment(self.plan, spec.env), cwd = spec.cwd or self.plan.cwd,
    stdin = stdio.input(spec.stdin), stdout = stdio.output(spec.stdout, spec), stderr = stdio.output(spec.stderr, spec),
    pty = spec.tty, rows = rows, cols = cols, last = spec.last, files = spec.files,
  }
  if not id then return nil, message, M.NOT_STARTED end
  if self.pooled then
    self.pooled = nil
    require("moonbox.pool").refill(self.plan)
  end
  return require("moonbox.supervise").run(self, id, spec, began)
end

--- Files of the box: read, write, list, copy_in and copy_out, as in moonbox.files.
for _, name in ipairs { "read", "write", "list", "copy_in", "copy_out" } do
  Box[name] = function(self, ...) return require("moonbox.files")[name](self, ...) end
end

--- Ends the box and everything in it. Closing twice is fine. Returns true, or nil and a sentence.
function Box:close()
  local closed, message = true, nil
  if self.monitor then self.monitor:close() end
  if self.running then closed, message = self.running:close() end
  self.running = nil
  if self.storage and users[self.storage] == self then users[self.storage] = nil end
  if self.own_keeper then
    local kept, why = self.own_keeper:close()
    closed, message = closed and kept, message or why
    self.own_keeper = nil
  end
  return closed, message
end

--- Ends the storage that boxes were opened on and removes it. Returns true, or nil and a sentence.
function M.release(directory)
  local keeper = storages[directory]
  storages[directory] = nil
  if keeper then return keeper:close() end
  return true
end

return M
